-- Shared by the scripts of the pubsub facet.

-- What waits to be handed out belongs to this consumer of the group.
local WAITING = 'waiting'

local function server_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function digits(n) return string.format('%.0f', n) end

local function split_id(id) return string.match(id, '^(%d+)%-(%d+)$') end

local function less_number(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

-- Stream ids are two 64-bit numbers, which a Lua number cannot hold.
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

-- A lease is "ATTEMPT OWNER KEY"; the owner is empty while the message waits.
local function lease_of(attempt, owner, key)
  return attempt .. ' ' .. owner .. ' ' .. key
end

local function parse_lease(v)
  if not v then return '0', '', '' end
  return string.match(v, '^(%d+) (%S*) (.*)$')
end

local function lane_key(base, key) return base .. 'lane:' .. key end

-- release takes a message out of the lane of its key, and makes the next one
-- there due. It reports whether there is one.
local function release(base, due, key, id, now)
  if key == '' then return false end
  local lane = lane_key(base, key)
  redis.call('LREM', lane, 1, id)
  local next = redis.call('LINDEX', lane, 0)
  if not next then return false end
  redis.call('ZADD', due, 'NX', now, next)
  return true
end

-- rouse wakes the consumers that wait. One entry is enough.
local function rouse(wake) redis.call('XADD', wake, 'MAXLEN', '=', 1, '*', 'w', '') end

-- purge removes the state of a group, but for the group of the stream itself.
local function purge(base)
  for _, v in ipairs(redis.call('HVALS', base .. 'leases')) do
    local _, _, key = parse_lease(v)
    if key ~= '' then redis.call('DEL', lane_key(base, key)) end
  end
  redis.call('DEL', base .. 'leases', base .. 'due', base .. 'wake')
end

local function size_of(fields)
  local n = 0
  for i = 1, #fields do n = n + #fields[i] end
  return n
end
