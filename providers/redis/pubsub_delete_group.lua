-- Deletes a group.
-- KEYS: stream, meta
-- ARGV: group, base of the group's keys, mark of the call
redis.pcall('XGROUP', 'DESTROY', KEYS[1], ARGV[1]) -- there may be no stream
delete_group_keys(ARGV[2])
return redis.call('HDEL', KEYS[2], 'group:' .. ARGV[1], read_field(ARGV[1]), inspected_field(ARGV[1]))
