-- Renews a lease, or ends it.
-- KEYS: leases, changes, ended
-- ARGV: the endpoint's member, the lease in ms (0 ends it), for how many ms a member
-- whose lease was ended stays in the set of those
-- A command of a member in that set was overtaken: it has no effect.
-- The stream of changes, which is kept for as long as those members, wakes the watchers. Its content does not matter.
-- Nothing before the first removal needs memory, so that this works on a full server.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = tonumber(ARGV[2])
local changed = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
if lease > 0 then
  if redis.call('ZADD', KEYS[3], 'XX', 'INCR', 1, ARGV[1]) then
    return changed
  end
  changed = changed + redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[1])
  if redis.call('PTTL', KEYS[1]) < lease then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
else
  changed = changed + redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[3]), ARGV[1])
  if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
  end
end
if changed > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'changed', changed)
  -- Those who wait have seen it by then. A later stream has newer IDs.
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return changed
