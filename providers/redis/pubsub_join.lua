-- Creates the topic if it does not exist. Then it finds or creates a group, or
-- finds the start of a broadcast.
-- KEYS: stream, meta, ids, older ids
-- ARGV: random text, start ("none", "new", "earliest", "id" or "position"),
--       ID, group (empty for a broadcast), base of the group's keys
-- Returns status, epoch, and for a broadcast its cursor: see pubsub_read.lua.
local stream, meta, ids, older = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local random, start, wanted, group, base = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The epoch distinguishes this topic from earlier ones of the same name. It is
-- "MS RANDOM". No ID of the stream is below MS.
local function create_if_missing()
  if redis.call('EXISTS', stream) == 0 then
    local ms = digits(server_ms())
    redis.call('XGROUP', 'CREATE', stream, 'none', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', stream, 'none')
    redis.call('XSETID', stream, ms .. '-0')
    redis.call('DEL', ids, older)
    redis.call('HDEL', meta, 'trimmed')
    redis.call('HSET', meta, 'epoch', ms .. ' ' .. random)
  elseif redis.call('HEXISTS', meta, 'epoch') == 0 then
    redis.call('HSET', meta, 'epoch', '0 ' .. random)
  end
  return redis.call('HGET', meta, 'epoch')
end

local epoch = create_if_missing()
if start == 'none' then return { 'ok', epoch } end
if group ~= '' then
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if to_map(g)['name'] == group then return { 'ok', epoch } end
  end
end

local info = to_map(redis.call('XINFO', 'STREAM', stream))
local first = info['first-entry'] and info['first-entry'][1]
local last = info['last-generated-id']
local removed = info['entries-added'] - info['length']

-- position_status returns "ok" if the stream still has all messages after a
-- position, or why it does not.
local function position_status(position)
  if less(last, position) then return 'invalid' end
  if removed == 0 and string.match(epoch, '^%d+') == '0' then return 'ok' end
  if less(position, string.match(epoch, '^%d+') .. '-0') then return 'compacted' end
  if less(position, info['max-deleted-entry-id']) then return 'compacted' end
  local trimmed = redis.call('HGET', meta, 'trimmed') or '0-0'
  -- A position whose message was trimmed is valid if no message after it was.
  local before_first = not first or less(position, first)
  if before_first and removed > 0 and position ~= trimmed and position ~= last then return 'compacted' end
  return 'ok'
end

local from = wanted
if start == 'new' then
  from = last
elseif start == 'earliest' then
  from = '0-0'
elseif start == 'id' and less(last, wanted) then
  from = last
elseif start == 'position' then
  local status = position_status(wanted)
  if status ~= 'ok' then return { status, epoch } end
end

-- The ordinal is the number of messages that the topic has had up to "from", or
-- -1 if it is unknown.
local ordinal = -1
if not less(from, last) then
  from, ordinal = last, info['entries-added']
elseif not first or less(from, first) then
  ordinal = removed
end
if group ~= '' then
  delete_group_keys(base)
  redis.call('XGROUP', 'CREATE', stream, group, from)
  redis.call('HSET', meta, 'group:' .. group, base)
  if ordinal >= 0 then
    redis.call('HSET', meta, read_field(group), ordinal)
  else
    redis.call('HDEL', meta, read_field(group))
  end
  return { 'ok', epoch }
end
return { 'ok', epoch, { from, ordinal, info['max-deleted-entry-id'], 0 } }
