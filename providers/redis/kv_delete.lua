-- Deletes some keys of a store and, when none is left, the store.
-- KEYS: log, index, deadlines
-- ARGV: prefix of the value keys, maximum number of keys, mark of the call
-- Returns 1 when the store is gone, else 0.
local keys = redis.call('ZRANGE', KEYS[2], 0, ARGV[2] - 1)
for _, key in ipairs(keys) do
  redis.call('UNLINK', ARGV[1] .. key)
end
if #keys == tonumber(ARGV[2]) then
  redis.call('ZREM', KEYS[2], unpack(keys))
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 1
