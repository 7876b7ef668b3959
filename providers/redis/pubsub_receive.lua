-- Leases messages to a consumer of a group: first messages that are delivered
-- again, then new ones.
-- KEYS: stream, meta, due, parked, wake
-- ARGV: group, consumer, epoch, limit, lease in ms, base of the group's keys,
--       maximum bytes, maximum number of parked messages, 1 to look for what
--       other programs have removed
-- Returns status, number of messages that are gone, and the messages. For each
-- message, these are its ID, the number of its lease, its attempt, the number of
-- its field names and values, and these names and values. They are one flat list, because every
-- table of a reply costs time. Without messages, the reply continues with what to
-- do next ("wait", "again" or "full"), the ms until the next message is due (-1
-- if none is), and the last IDs of stream and wake.
local stream, meta, due, parked, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, consumer, epoch, limit, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local base, max_bytes, max_parked, inspect = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'

-- The number of messages that one read takes. It bounds by how much large
-- messages exceed the maximum bytes.
local CHUNK = 16
-- The number of reads that may park all messages they find before the call
-- returns.
local MAX_READS = 64

-- How often a group looks for what other programs have removed, in ms.
local INSPECT_INTERVAL = 1000

local known = redis.pcall('HGET', meta, 'epoch')
if is_wrong_type(known) then return wrong_type(meta) end
if known ~= epoch then return { 'lost' } end

local now = server_ms()
local out, count, bytes, gone, new = {}, 0, 0, 0, 0
local leases, ended = {}, {}

local function lease_message(id, number, attempt, key, fields)
  count = count + 1
  leases[2 * count - 1] = score_of(now + lease, count)
  leases[2 * count] = member_of(id, number, consumer, key)
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = id, number, attempt, #fields
  for i, v in ipairs(fields) do
    out[n + 4 + i] = v
    bytes = bytes + #v
  end
end

local function has_room() return count < limit and bytes < max_bytes end

-- drop_message drops a message that another program has deleted from the stream.
local function drop_message(id, key)
  release_key(base, due, parked, key, id, now)
  redis.call('HDEL', released_key(base), id)
  gone = gone + 1
end

local function lease_due(member)
  local id, number, _, key = parse_member(member)
  if not id then -- another program has added it
    ended[#ended + 1] = member
    return
  end
  number = number + 1
  -- A message that is due was not acknowledged by the group. FORCE: it is delivered
  -- although another program has acknowledged it, or deleted its consumer.
  local claimed = redis.pcall('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', number, 'FORCE')
  if claimed.err then return claimed.err end
  ended[#ended + 1] = member
  if not claimed[1] then return drop_message(id, key) end
  local released = count_of(redis.call('HGET', released_key(base), id))
  lease_message(id, number, number - released, key, claimed[1][2])
end

local function lease_all_due()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
    if not has_room() then return end
    local err = lease_due(member)
    if err then return err end
  end
end

-- lease_or_park leases a new message, or parks it if an earlier one of its key is
-- not settled.
local function lease_or_park(entry)
  local id, key = entry[1], key_of(entry[2])
  if key == '' or append_to_lane(lane_key(base, key), id) == 1 then
    return lease_message(id, 1, 1, key, entry[2])
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
    new = new + #got[1][2]
  end
  return 'again'
end

-- delete_wrong_types deletes the group's keys that another program has replaced by
-- something of another type, and returns them. restart_group repairs the rest, as if
-- the program had deleted them.
local function delete_wrong_types()
  local deleted = {}
  for _, read in ipairs({ { 'ZCARD', due }, { 'HLEN', parked }, { 'HGET', released_key(base), '-' }, { 'XREVRANGE', wake, '+', '-', 'COUNT', 1 } }) do
    if is_wrong_type(redis.pcall(unpack(read))) then
      redis.call('DEL', read[2])
      deleted[#deleted + 1] = read[2]
    end
  end
  return deleted
end

-- group_info returns what the server knows about the group, or nil.
local function group_info()
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    g = to_map(g)
    if g['name'] == group then return g end
  end
end

-- count_removed counts the messages that other programs have removed before the
-- group has read them, as far as it shows: if nothing is left to read, or if
-- nothing is left that was read. Messages are counted as the server adds them.
local function count_removed(drained)
  local info, g = to_map(redis.call('XINFO', 'STREAM', stream)), group_info()
  if not g then return end
  local last, first = g['last-delivered-id'], info['first-entry'] and info['first-entry'][1]
  local expected
  if drained or not first or not less(last, info['last-generated-id']) then
    expected = info['entries-added']
  elseif less(last, first) then
    expected = info['entries-added'] - info['length']
  else
    return
  end
  local read = tonumber(redis.call('HGET', meta, read_field(group)) or nil)
  if read and read < expected then gone = gone + expected - read end
  if read ~= expected then redis.call('HSET', meta, read_field(group), digits(expected)) end
end

local function id_before(id)
  local ms, seq = split_id(id)
  if seq == '0' then return digits(ms - 1) .. '-18446744073709551615' end
  if #seq > 15 then return ms .. '-0' end
  return ms .. '-' .. digits(seq - 1)
end

-- restart_group lets the group read again from its oldest message that is not
-- acknowledged, if another program has removed a part of the group's state: some
-- messages would never be delivered again.
local function restart_group()
  local g = group_info()
  if not g or g['pending'] <= redis.call('ZCARD', due) + redis.call('HLEN', parked) then return end
  local from = id_before(redis.call('XPENDING', stream, group)[2])
  for _, p in ipairs(redis.call('XPENDING', stream, group, '-', '+', g['pending'])) do
    local e = redis.call('XRANGE', stream, p[1], p[1])[1]
    if e then redis.call('DEL', lane_key(base, key_of(e[2]))) end
  end
  delete_group_keys(base)
  redis.call('XGROUP', 'DESTROY', stream, group)
  redis.call('XGROUP', 'CREATE', stream, group, from)
  redis.call('HDEL', meta, read_field(group))
  gone = gone + 1
end

local function error_reply(err)
  if string.find(err, 'WRONGTYPE', 1, true) then return wrong_type(stream) end
  if not string.find(err, 'NOGROUP', 1, true) then return redis.error_reply(err) end
  -- DeleteGroup deletes the field, too. Other programs delete less.
  if redis.call('EXISTS', stream) == 1 and redis.call('HEXISTS', meta, 'group:' .. group) == 0 then return { 'gone' } end
  return { 'lost' }
end

-- One consumer of the group inspects for all.
inspect = inspect and redis.call('EXISTS', stream) == 1
  and math.abs(now - count_of(redis.call('HGET', meta, inspected_field(group)))) >= INSPECT_INTERVAL
if inspect then
  local deleted = delete_wrong_types()
  if #deleted > 0 then return { 'deleted', deleted } end
  redis.call('HSET', meta, inspected_field(group), digits(now))
  restart_group()
  count_removed(false)
end
local err = lease_all_due()
if err then return error_reply(err) end
local next_step
next_step, err = read_new()
if err then return error_reply(err) end

if new > 0 then
  local read = tonumber(redis.call('HGET', meta, read_field(group)) or nil)
  if read then redis.call('HSET', meta, read_field(group), digits(read + new)) end
end
if #ended > 0 then redis.call('ZREM', due, unpack(ended)) end
if count > 0 then
  redis.call('ZADD', due, unpack(leases))
  return { 'ok', gone, out }
end
if inspect and next_step == 'wait' then count_removed(true) end
local soonest = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local last_wake = redis.call('XREVRANGE', wake, '+', '-', 'COUNT', 1)[1]
return { 'ok', gone, out, next_step, soonest and math.ceil(math.max(soonest - now, 0)) or -1,
  group_info()['last-delivered-id'], last_wake and last_wake[1] or '0-0' }
