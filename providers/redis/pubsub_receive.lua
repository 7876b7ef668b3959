-- Leases messages to a consumer of a group: first those that come again, then
-- new ones.
-- KEYS: stream, meta, due, leases, wake
-- ARGV: group, consumer, epoch, limit, lease in ms, base of the group's keys,
--       most bytes, most parked messages
-- Returns status, messages as {id, attempt, fields}, number of those that are
-- gone; and if there are no messages: what to do ("wait", "again" or "full"),
-- ms until the next one is due (-1: none is), last ids of stream and wake.
local stream, meta, due, leases, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, consumer, epoch, limit, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local base, max_bytes, max_parked = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

-- So many messages are read at once: large ones go beyond the bytes by less.
local CHUNK = 8
-- So many reads may park all that they find before the call answers.
local MAX_READS = 64

if redis.call('HGET', meta, 'epoch') ~= epoch then return { 'lost' } end

local now = server_ms()
local out, bytes, gone = {}, 0, 0
local new_leases, new_due = {}, {}

local function hand(id, attempt, key, fields)
  out[#out + 1] = { id, attempt, fields }
  bytes = bytes + size_of(fields)
  new_leases[#new_leases + 1] = id
  new_leases[#new_leases + 1] = lease_of(attempt, consumer, key)
  new_due[#new_due + 1] = now + lease
  new_due[#new_due + 1] = id
end

local function room() return #out < limit and bytes < max_bytes end

-- forget drops a message that is no longer pending: it was deleted from the
-- stream, or acknowledged by somebody else's command.
local function forget(id, key)
  redis.call('ZREM', due, id)
  redis.call('HDEL', leases, id)
  release(base, due, key, id, now)
  if #redis.call('XRANGE', stream, id, id) == 0 then gone = gone + 1 end
end

local function hand_due(id, v)
  local attempt, _, key = parse_lease(v)
  attempt = attempt + 1
  local claimed = redis.pcall('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', attempt)
  if claimed.err then return claimed.err end
  if claimed[1] then hand(id, attempt, key, claimed[1][2]) else forget(id, key) end
end

local function take_due()
  local ready = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)
  if #ready == 0 then return end
  local held = redis.call('HMGET', leases, unpack(ready))
  for i, id in ipairs(ready) do
    if not room() then return end
    local err = hand_due(id, held[i])
    if err then return err end
  end
end

local function key_of(fields)
  for i = 3, #fields, 2 do
    if fields[i] == 'k' then return fields[i + 1] end
  end
  return ''
end

local parked = redis.call('HLEN', leases) - redis.call('ZCARD', due)

-- take_new hands a message out, or parks it behind another one of its key.
local function take_new(id, fields)
  local key = key_of(fields)
  if key == '' or redis.call('RPUSH', lane_key(base, key), id) == 1 then
    return hand(id, 1, key, fields)
  end
  redis.call('HSET', leases, id, lease_of(0, '', key))
  redis.call('XCLAIM', stream, group, WAITING, 0, id, 'RETRYCOUNT', 0, 'JUSTID')
  parked = parked + 1
end

local function read_new()
  for _ = 1, MAX_READS do
    if not room() then return 'again' end
    if parked >= max_parked then return 'full' end
    local got = redis.pcall('XREADGROUP', 'GROUP', group, consumer,
      'COUNT', math.min(limit - #out, CHUNK), 'STREAMS', stream, '>')
    if not got then return 'wait' end
    if got.err then return nil, got.err end
    for _, e in ipairs(got[1][2]) do take_new(e[1], e[2]) end
  end
  return 'again'
end

local function last_delivered()
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    g = to_map(g)
    if g['name'] == group then return g['last-delivered-id'] end
  end
end

local function answer_error(err)
  if string.find(err, 'NOGROUP', 1, true) then return { 'gone' } end
  return redis.error_reply(err)
end

local err = take_due()
if err then return answer_error(err) end
local todo
todo, err = read_new()
if err then return answer_error(err) end

if #out > 0 then
  redis.call('HSET', leases, unpack(new_leases))
  redis.call('ZADD', due, unpack(new_due))
  return { 'ok', out, gone }
end
local soonest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local last_wake = redis.call('XREVRANGE', wake, '+', '-', 'COUNT', 1)[1]
return { 'ok', out, gone, todo, soonest and math.ceil(math.max(soonest - now, 0)) or -1,
  last_delivered(), last_wake and last_wake[1] or '0-0' }
