-- Tells the watchers of keys whose time has ended, and takes them out of the
-- index.
-- KEYS: log, index, deadlines
-- ARGV: history, what a slot's name starts with, most keys at a time
-- Answers with the milliseconds until the next deadline, or -1.
log, index, deadlines, history, nonce = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ''
local now = milliseconds()
local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
for _, key in ipairs(due) do
  redis.call('UNLINK', ARGV[2] .. key)
  expired(key)
end
local next = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
if #next == 0 then
  return -1
end
return math.max(0, next[2] - now + 1)
