-- Creates a store if it does not exist, and returns its last revision.
-- KEYS: log
-- The first entry of the log stands for the time before the first change.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.call('XADD', KEYS[1], '*', 'N', '')
end
return lastRevision(KEYS[1])
