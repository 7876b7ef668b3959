-- Renews a lease, or ends it.
-- KEYS: leases, changes
-- ARGV: the endpoint's member, the lease in ms (0 ends it)
-- The stream of changes wakes the watchers. Its content does not matter.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = tonumber(ARGV[2])
local changed = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if lease > 0 then
  changed = changed + redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[1])
  if redis.call('PTTL', KEYS[1]) < lease then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
else
  changed = changed + redis.call('ZREM', KEYS[1], ARGV[1])
end
if changed > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'changed', changed)
  redis.call('PEXPIRE', KEYS[2], 86400000)
end
return changed
