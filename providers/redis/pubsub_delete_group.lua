-- Removes a group.
-- KEYS: stream, meta
-- ARGV: group, base of the group's keys
redis.pcall('XGROUP', 'DESTROY', KEYS[1], ARGV[1]) -- there may be no stream
purge(ARGV[2])
return redis.call('HDEL', KEYS[2], 'group:' .. ARGV[1])
