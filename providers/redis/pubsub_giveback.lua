-- Makes what a consumer holds due at once, and removes the consumer when it
-- holds nothing any more.
-- KEYS: stream, due, leases, wake
-- ARGV: group, consumer, most messages (at most 1000)
-- Returns 1 if there may be more, else 0.
local stream, due, leases, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

local pending = redis.pcall('XPENDING', stream, group, '-', '+', most, consumer)
if pending.err then return 0 end -- the group is gone
local now = server_ms()
for i, p in ipairs(pending) do
  local id = p[1]
  local v = redis.call('HGET', leases, id)
  local attempt, owner, key = parse_lease(v)
  if not v then attempt = p[4] end
  if not v or owner == consumer then
    redis.call('HSET', leases, id, lease_of(attempt, '', key))
    -- The fraction keeps the order of the stream among them.
    redis.call('ZADD', due, now - 1 + i / 1024, id)
  end
  redis.call('XCLAIM', stream, group, WAITING, 0, id, 'JUSTID')
end
rouse(wake)
if #pending == most then return 1 end
redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
return 0
