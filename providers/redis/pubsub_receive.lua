-- Leases messages to a consumer of a group: first messages that are delivered
-- again, then new ones.
-- KEYS: stream, meta, due, parked, wake
-- ARGV: group, consumer, epoch, limit, lease in ms, base of the group's keys,
--       maximum bytes, maximum number of parked messages
-- Returns status, number of messages that are gone, and the messages. For each
-- message, these are its ID, its attempt, the number of its field names and
-- values, and these names and values. They are one flat list, because every
-- table of a reply costs time. Without messages, the reply continues with what to
-- do next ("wait", "again" or "full"), the ms until the next message is due (-1
-- if none is), and the last IDs of stream and wake.
local stream, meta, due, parked, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, consumer, epoch, limit, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local base, max_bytes, max_parked = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

-- The number of messages that one read takes. It bounds by how much large
-- messages exceed the maximum bytes.
local CHUNK = 16
-- The number of reads that may park all messages they find before the call
-- returns.
local MAX_READS = 64

if redis.call('HGET', meta, 'epoch') ~= epoch then return { 'lost' } end

local now = server_ms()
local out, count, bytes, gone = {}, 0, 0, 0
local leases, ended = {}, {}

local function lease_message(id, attempt, key, fields)
  count = count + 1
  leases[2 * count - 1] = score_of(now + lease, count)
  leases[2 * count] = member_of(id, attempt, consumer, key)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = id, attempt, #fields
  for i, v in ipairs(fields) do
    out[n + 3 + i] = v
    bytes = bytes + #v
  end
end

local function has_room() return count < limit and bytes < max_bytes end

-- drop_message drops a message that is no longer pending: it was deleted from
-- the stream, or another program acknowledged it.
local function drop_message(id, key)
  release_key(base, due, parked, key, id, now)
  if #redis.call('XRANGE', stream, id, id) == 0 then gone = gone + 1 end
end

local function lease_due(member)
  local id, attempt, _, key = parse_member(member)
  attempt = attempt + 1
  local claimed = redis.pcall('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', attempt)
  if claimed.err then return claimed.err end
  ended[#ended + 1] = member
  if not claimed[1] then return drop_message(id, key) end
  lease_message(id, attempt, key, claimed[1][2])
end

local function lease_all_due()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
    if not has_room() then return end
    local err = lease_due(member)
    if err then return err end
  end
end

local function key_of(fields)
  for i = 3, #fields, 2 do
    if fields[i] == 'k' then return fields[i + 1] end
  end
  return ''
end

-- lease_or_park leases a new message, or parks it if an earlier one of its key is
-- not settled.
local function lease_or_park(entry)
  local id, key = entry[1], key_of(entry[2])
  if key == '' or redis.call('RPUSH', lane_key(base, key), id) == 1 then
    return lease_message(id, 1, key, entry[2])
  end
  redis.call('HSET', parked, id, key)
  redis.call('XCLAIM', stream, group, WAITING, 0, id, 'RETRYCOUNT', 0, 'JUSTID')
end

local function read_new()
  for _ = 1, MAX_READS do
    if not has_room() then return 'again' end
    if redis.call('HLEN', parked) >= max_parked then return 'full' end
    local got = redis.pcall('XREADGROUP', 'GROUP', group, consumer,
      'COUNT', math.min(limit - count, CHUNK), 'STREAMS', stream, '>')
    if not got then return 'wait' end
    if got.err then return nil, got.err end
    for _, e in ipairs(got[1][2]) do lease_or_park(e) end
  end
  return 'again'
end

local function last_delivered()
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    g = to_map(g)
    if g['name'] == group then return g['last-delivered-id'] end
  end
end

local function error_reply(err)
  if string.find(err, 'NOGROUP', 1, true) then return { 'gone' } end
  return redis.error_reply(err)
end

local err = lease_all_due()
if err then return error_reply(err) end
local next_step
next_step, err = read_new()
if err then return error_reply(err) end

if #ended > 0 then redis.call('ZREM', due, unpack(ended)) end
if count > 0 then
  redis.call('ZADD', due, unpack(leases))
  return { 'ok', gone, out }
end
local soonest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local last_wake = redis.call('XREVRANGE', wake, '+', '-', 'COUNT', 1)[1]
return { 'ok', gone, out, next_step, soonest and math.ceil(math.max(soonest - now, 0)) or -1,
  last_delivered(), last_wake and last_wake[1] or '0-0' }
