-- Acknowledges (1), gives back (2), extends (3) and releases (4) messages that a
-- consumer holds.
-- KEYS: stream, due, parked, wake
-- ARGV: mark of the call, group, base of the group's keys, longest wait of a
--       consumer in ms, then for each settlement: kind, member of due, ID, key,
--       delay in ms
-- Returns for each settlement 0, or 1 if due has no such member.
local stream, due, parked, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, base, longest_wait = ARGV[2], ARGV[3], tonumber(ARGV[4])
local FIRST, STEP = 5, 5

local now = server_ms()
local out, acked, ended, wake_needed = {}, {}, {}, false

local members, held = {}, {}
for at = FIRST, #ARGV, STEP do members[#members + 1] = ARGV[at + 1] end
for i, score in ipairs(redis.call('ZMSCORE', due, unpack(members))) do held[members[i]] = score end

local settle = {}

settle['1'] = function(member, id, key)
  held[member] = nil
  acked[#acked + 1] = id
  ended[#ended + 1] = member
  wake_needed = release_key(base, due, parked, key, id, now) or wake_needed
end

settle['2'] = function(member, id, key, delay)
  local _, lease = parse_member(member)
  held[member] = nil
  ended[#ended + 1] = member
  redis.call('ZADD', due, score_of(now + delay, #ended), member_of(id, lease, NO_OWNER, key))
  redis.pcall('XCLAIM', stream, group, WAITING, 0, id, 'JUSTID')
  wake_needed = wake_needed or delay < longest_wait
end

settle['3'] = function(member, _, _, delay)
  redis.call('ZADD', due, now + delay, member)
  wake_needed = wake_needed or delay < longest_wait
end

settle['4'] = function(member, id, key)
  local released = released_key(base)
  redis.call('HSET', released, id, digits(count_of(redis.call('HGET', released, id)) + 1))
  settle['2'](member, id, key, 0)
end

for at = FIRST, #ARGV, STEP do
  local member = ARGV[at + 1]
  if held[member] then
    settle[ARGV[at]](member, ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]))
    out[#out + 1] = 0
  else
    out[#out + 1] = 1
  end
end

if #acked > 0 then
  redis.call('XACK', stream, group, unpack(acked))
  if redis.call('EXISTS', released_key(base)) == 1 then redis.call('HDEL', released_key(base), unpack(acked)) end
end
if #ended > 0 then redis.call('ZREM', due, unpack(ended)) end
if wake_needed then wake_consumers(wake) end
return out
