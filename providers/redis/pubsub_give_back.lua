-- Makes the messages that a consumer holds due at once, in steps. The last step
-- removes the consumer.
-- KEYS: stream, due, wake
-- ARGV: group, consumer, cursor ("0" for the first step), size of the step
-- Returns the next cursor, "0" at the end.
local stream, due, wake = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, step = ARGV[1], ARGV[2], ARGV[4]

-- Far enough in the past for the longest lease (100 years, 3.2e12 ms), and still in
-- the order of the leases.
local LONG_AGO = 5e12

local function give_back(member, score)
  local id, lease, owner, key = parse_member(member)
  if owner ~= consumer or redis.call('ZREM', due, member) == 0 then return end
  redis.call('ZADD', due, score - LONG_AGO, member_of(id, lease, NO_OWNER, key))
  redis.pcall('XCLAIM', stream, group, WAITING, 0, id, 'JUSTID') -- the group may be gone
end

local scanned = redis.call('ZSCAN', due, ARGV[3], 'COUNT', step)
for i = 1, #scanned[2], 2 do give_back(scanned[2][i], scanned[2][i + 1]) end
if scanned[1] ~= '0' then return scanned[1] end

local left = redis.pcall('XPENDING', stream, group, '-', '+', 1, consumer)
if left.err then return '0' end -- the group is gone
if #left == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer) end
wake_consumers(wake)
return '0'
