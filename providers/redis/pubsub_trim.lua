-- Drops the messages that are older than the retention and that every group has
-- acknowledged. Removes the consumers that hold nothing and have been idle for
-- long: their programs have ended without closing them.
-- KEYS: stream, meta
-- ARGV: retention in ms, least idle time of a removed consumer in ms
-- Returns the number of messages dropped.
local stream, meta = KEYS[1], KEYS[2]

local function id_after(id)
  local ms, seq = split_id(id)
  if #seq > 15 then return digits(ms + 1) .. '-0' end
  return ms .. '-' .. digits(seq + 1)
end

-- first_needed returns the first ID that a group has not acknowledged.
local function first_needed(g)
  if g['pending'] > 0 then return redis.call('XPENDING', stream, g['name'])[2] end
  return id_after(g['last-delivered-id'])
end

local function remove_idle_consumers(group)
  for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    c = to_map(c)
    if c['pending'] == 0 and c['idle'] >= tonumber(ARGV[2]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, c['name'])
    end
  end
end

if redis.call('EXISTS', stream) == 0 then return 0 end
local bound = digits(math.max(server_ms() - tonumber(ARGV[1]), 0)) .. '-0'
for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  g = to_map(g)
  local n = first_needed(g)
  if less(n, bound) then bound = n end
  remove_idle_consumers(g['name'])
end
-- If all messages are newer, XREVRANGE would read the whole stream backwards.
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not oldest or not less(oldest[1], bound) then return 0 end
local newest = redis.call('XREVRANGE', stream, '(' .. bound, '-', 'COUNT', 1)[1]
if not newest then return 0 end
local dropped = redis.call('XTRIM', stream, 'MINID', '=', bound)
redis.call('HSET', meta, 'trimmed', newest[1])
return dropped
