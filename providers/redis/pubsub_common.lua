-- Shared by the scripts of the pubsub facet.

-- Messages that wait to be leased belong to this consumer of the group.
local WAITING = 'waiting'

-- server_ms returns the time of the server in ms, with a fraction.
local function server_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + t[2] / 1000
end

local function digits(n) return string.format('%.0f', math.floor(n)) end

-- score_of returns a time in ms as a score. The fraction keeps the messages of
-- one call in order: i is the number of the message in the call.
local function score_of(ms, i) return string.format('%.3f', ms + i / 1000) end

local function split_id(id) return string.match(id, '^(%d+)%-(%d+)$') end

local function less_number(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

-- Stream IDs are two 64-bit numbers, which a Lua number cannot hold.
local function less(a, b)
  local ams, aseq = split_id(a)
  local bms, bseq = split_id(b)
  if ams ~= bms then return less_number(ams, bms) end
  return less_number(aseq, bseq)
end

-- to_map turns a flat reply of names and values into a table.
local function to_map(flat)
  local m = {}
  for i = 1, #flat, 2 do m[flat[i]] = flat[i + 1] end
  return m
end

-- A message that is leased, or waits for its next delivery, is one member
-- "ID LEASE OWNER KEY" of the sorted set due. Its score is the end of the lease
-- or of the delay. LEASE is the number of its last lease, and the owner is
-- NO_OWNER while the message waits.
local NO_OWNER = '-'

local function member_of(id, lease, owner, key)
  return id .. ' ' .. lease .. ' ' .. owner .. ' ' .. key
end

-- released_key is the key of a hash: how many leases of a message do not count as
-- attempts, because nobody had begun to handle it.
local function released_key(base) return base .. 'released' end

local function parse_member(m) return string.match(m, '^(%S+) (%d+) (%S+) (.*)$') end

-- key_of returns the ordering key of a message: see orderingKey in
-- pubsub_message.go.
local function key_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'k' then return fields[i + 1] end
  end
  return ''
end

local function lane_key(base, key) return base .. 'lane:' .. key end

-- is_wrong_type reports whether a reply says that a key has a value of another type.
local function is_wrong_type(reply)
  return type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE', 1, true) ~= nil
end

-- wrong_type returns the error for a key with a value of another type that cannot be
-- deleted without a loss.
local function wrong_type(key)
  return redis.error_reply("WRONGTYPE the key '" .. key .. "' has a value of another type, which another program wrote; run redis-cli DEL '" .. key .. "'")
end

-- count_of returns a number that the provider wrote, and 0 for none or for what
-- another program has written.
local function count_of(text) return tonumber(text or nil) or 0 end

-- append_to_lane appends a message to a lane, and returns how many it then has. A
-- lane with a value of another type begins again, as if it had been deleted.
local function append_to_lane(lane, id)
  local n = redis.pcall('RPUSH', lane, id)
  if not is_wrong_type(n) then return n end
  redis.call('DEL', lane)
  return redis.call('RPUSH', lane, id)
end

-- parked_by_key returns the IDs of the parked messages by ordering key, the oldest
-- first.
local function parked_by_key(parked)
  local ids, flat = {}, redis.call('HGETALL', parked)
  for i = 1, #flat, 2 do
    local id, key = flat[i], flat[i + 1]
    ids[key] = ids[key] or {}
    table.insert(ids[key], id)
  end
  for _, of_key in pairs(ids) do table.sort(of_key, less) end
  return ids
end

-- unrepaired has the parked messages of the lanes that this call has not repaired.
-- A call repairs a lane once at most: then the lane is whole.
local unrepaired

-- repair_lane puts the parked messages of a key back into its lane, after another
-- program has removed the lane or a part of it. A later message that has begun the
-- lane again is not parked, and stays the first.
local function repair_lane(lane, parked, key)
  unrepaired = unrepaired or parked_by_key(parked)
  local ids = unrepaired[key]
  if not ids then return end
  unrepaired[key] = nil
  local first = redis.pcall('LINDEX', lane, 0)
  redis.call('DEL', lane)
  if first and not is_wrong_type(first) and redis.call('HEXISTS', parked, first) == 0 then redis.call('RPUSH', lane, first) end
  for _, id in ipairs(ids) do redis.call('RPUSH', lane, id) end
end

-- release_key removes a message from the lane of its ordering key, and makes the
-- next message of the lane due. It returns whether there is one.
local function release_key(base, due, parked, key, id, now)
  if key == '' then return false end
  local lane = lane_key(base, key)
  local removed = redis.pcall('LREM', lane, 1, id)
  if removed == 0 or is_wrong_type(removed) then repair_lane(lane, parked, key) end
  local next = redis.pcall('LINDEX', lane, 0)
  while next and not is_wrong_type(next) and not split_id(next) do -- another program has added it
    redis.call('LPOP', lane)
    next = redis.call('LINDEX', lane, 0)
  end
  if is_wrong_type(next) then return false end -- nothing of the lane waits
  if not next or redis.call('HDEL', parked, next) == 0 then return false end
  redis.call('ZADD', due, now, member_of(next, 0, NO_OWNER, key))
  return true
end

-- wake_consumers wakes the consumers that wait. One entry is enough.
local function wake_consumers(wake) redis.call('XADD', wake, 'MAXLEN', '=', 1, '*', 'w', '') end

-- delete_group_keys deletes the state of a group, except the consumer group of
-- the stream.
local function delete_group_keys(base)
  local due = base .. 'due'
  for _, m in ipairs(redis.call('ZRANGE', due, 0, -1)) do -- the first of each lane
    local _, _, _, key = parse_member(m)
    if key and key ~= '' then redis.call('DEL', lane_key(base, key)) end
  end
  redis.call('DEL', due, base .. 'parked', base .. 'wake', released_key(base))
end

-- The field read_field(GROUP) of meta is the number of messages that the topic
-- had when the group read its last one. It is absent if unknown.
local function read_field(group) return 'read:' .. group end

-- The field inspected_field(GROUP) of meta is when the group last looked for what
-- other programs have removed, in ms.
local function inspected_field(group) return 'inspected:' .. group end

local function size_of(fields)
  local n = 0
  for i = 1, #fields do n = n + #fields[i] end
  return n
end
