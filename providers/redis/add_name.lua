-- Adds a name to a set of names.
-- KEYS: set
-- ARGV: name
-- SADD is refused on a full server even if the name is there.
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 0 end
return redis.call('SADD', KEYS[1], ARGV[1])
