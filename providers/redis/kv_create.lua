-- Creates a store, if need be, and answers with its last revision.
-- KEYS: log
-- The first entry of the log names the moment before the first change.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.call('XADD', KEYS[1], '*', 'N', '')
end
return lastRevision(KEYS[1])
