-- Acknowledges (1), gives back (2) and extends (3) what a consumer holds.
-- KEYS: stream, due, leases, wake
-- ARGV: mark of the call, group, consumer, base of the group's keys, longest
--       wait of a consumer in ms, then for each: kind, id, attempt, delay in ms
-- Returns for each 0, or 1 if the consumer does not hold it.
local stream, due, leases, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, base, longest_wait = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local FIRST = 6

local now = server_ms()
local out, acked, roused = {}, {}, false

local ids = {}
for at = FIRST, #ARGV, 4 do ids[#ids + 1] = ARGV[at + 1] end
local held = {}
for i, v in ipairs(redis.call('HMGET', leases, unpack(ids))) do held[ids[i]] = v end

local kinds = {}

kinds['1'] = function(id, attempt, key)
  held[id] = nil
  acked[#acked + 1] = id
  roused = release(base, due, key, id, now) or roused
end

kinds['2'] = function(id, attempt, key, delay)
  held[id] = lease_of(attempt, '', key)
  redis.call('HSET', leases, id, held[id])
  redis.call('ZADD', due, now + delay, id)
  redis.pcall('XCLAIM', stream, group, WAITING, 0, id, 'JUSTID')
  roused = roused or delay < longest_wait
end

kinds['3'] = function(id, attempt, key, delay)
  redis.call('ZADD', due, now + delay, id)
  roused = roused or delay < longest_wait
end

for at = FIRST, #ARGV, 4 do
  local id = ARGV[at + 1]
  local attempt, owner, key = parse_lease(held[id])
  if owner == consumer and attempt == ARGV[at + 2] then
    kinds[ARGV[at]](id, attempt, key, tonumber(ARGV[at + 3]))
    out[#out + 1] = 0
  else
    out[#out + 1] = 1
  end
end

if #acked > 0 then
  redis.call('XACK', stream, group, unpack(acked))
  redis.call('ZREM', due, unpack(acked))
  redis.call('HDEL', leases, unpack(acked))
end
if roused then rouse(wake) end
return out
