-- Deletes a topic and all its groups.
-- KEYS: stream, meta, ids, older ids
-- ARGV: mark of the call
for name, base in pairs(to_map(redis.call('HGETALL', KEYS[2]))) do
  if string.sub(name, 1, 6) == 'group:' then delete_group_keys(base) end
end
return redis.call('UNLINK', unpack(KEYS))
