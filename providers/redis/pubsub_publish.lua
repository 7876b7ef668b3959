-- Stores messages, all or none.
-- KEYS: stream, ids, older ids
-- ARGV: mark of the call, window in ms, then for each message: its ID, the
--       number of its field names and values, and these names and values
-- Returns for each message its position, which for a duplicate has the prefix "=";
-- or "gone" if there is no stream.
--
-- The script checks everything before it writes. The first write is an XADD: a
-- refusal of it leaves everything as it was.
local stream, ids, older = KEYS[1], KEYS[2], KEYS[3]
local window = tonumber(ARGV[2])

-- The IDs of the last window are in two hashes. Each exists for two windows, and
-- accepts new IDs during the first.
local function rotate_ids()
  local left = redis.call('PTTL', ids)
  if left >= 0 and left <= window then
    redis.call('UNLINK', older)
    redis.call('RENAME', ids, older)
  end
end

local function remember_ids(pairs)
  rotate_ids()
  for i = 1, #pairs, 2 do redis.call('HSET', ids, pairs[i], pairs[i + 1]) end
  if redis.call('PTTL', ids) < 0 then redis.call('PEXPIRE', ids, 2 * window) end
end

-- position_of returns the position of the message with an ID, or false.
local function position_of(id)
  return redis.call('HGET', ids, id) or redis.call('HGET', older, id)
end

local function last_id()
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

-- has_ids reports whether the stream has IDs for some messages. The last one is
-- 18446744073709551615-18446744073709551615.
local function has_ids(messages)
  local used = string.match(last_id(), '^18446744073709551615%-18446744073709(%d%d%d%d%d%d)$')
  return not used or used + messages <= 551615
end

local EXHAUSTED = { err = 'EXHAUSTED the stream has too few IDs left' }

-- error_reply returns the reply for an XADD that the server refused.
local function error_reply(err, stored)
  if stored > 0 then return { err = 'ERR only ' .. stored .. ' messages were stored: ' .. err } end
  if string.find(err, 'The stream has exhausted', 1, true) then return EXHAUSTED end
  return { err = err }
end

if redis.call('EXISTS', stream) == 0 then return 'gone' end

local known, messages, at = {}, 0, 3 -- known: the positions of IDs
while at < #ARGV do
  local id = ARGV[at]
  if id == '' or window == 0 then
    messages = messages + 1
  elseif known[id] == nil then
    known[id] = position_of(id)
    if not known[id] then messages = messages + 1 end
  end
  at = at + 2 + ARGV[at + 1]
end
if messages > 1 and not has_ids(messages) then return EXHAUSTED end

local out, new, stored = {}, {}, 0
at = 3
while at < #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  local position = known[id]
  if position then
    out[#out + 1] = '=' .. position
  else
    position = redis.pcall('XADD', stream, '*', unpack(ARGV, at + 2, at + 1 + count))
    if type(position) == 'table' then return error_reply(position.err, stored) end
    stored = stored + 1
    out[#out + 1] = position
    if id ~= '' and window > 0 then
      known[id] = position
      new[#new + 1], new[#new + 2] = id, position
    end
  end
  at = at + 2 + count
end
if #new > 0 then remember_ids(new) end
return out
