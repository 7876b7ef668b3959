-- Records in the log which keys have expired, and removes them from the index.
-- KEYS: log, index, deadlines
-- ARGV: history, prefix of the value keys, maximum number of keys
-- Returns the milliseconds until the next deadline, or -1 if there is none.
log, index, deadlines, history, nonce = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ''
local now = serverMilliseconds()
local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
for _, key in ipairs(due) do
  redis.call('UNLINK', ARGV[2] .. key)
  recordExpiry(key)
end
local next = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
if #next == 0 then
  return -1
end
return math.max(0, next[2] - now + 1)
