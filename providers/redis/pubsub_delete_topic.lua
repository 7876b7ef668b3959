-- Removes a topic with all its groups.
-- KEYS: stream, meta, ids, older ids
for name, base in pairs(to_map(redis.call('HGETALL', KEYS[2]))) do
  if string.sub(name, 1, 6) == 'group:' then purge(base) end
end
return redis.call('UNLINK', unpack(KEYS))
