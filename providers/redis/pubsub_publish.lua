-- Stores messages, all or none.
-- KEYS: stream, ids, older ids
-- ARGV: mark of the call, window in ms, then for each message: its ID, the
--       number of its field names and values, and these names and values
-- Returns for each message its position, which for a duplicate has the prefix "=";
-- or "gone" if there is no stream.
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

local function remember_id(id, position)
  redis.call('HSET', ids, id, position)
  if redis.call('PTTL', ids) < 0 then redis.call('PEXPIRE', ids, 2 * window) end
end

local function add_message(from, count)
  return redis.call('XADD', stream, '*', unpack(ARGV, from, from + count - 1))
end

if redis.call('EXISTS', stream) == 0 then return 'gone' end
local out, rotated, at = {}, false, 3
while at < #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  if id == '' or window == 0 then
    out[#out + 1] = add_message(at + 2, count)
  else
    if not rotated then rotate_ids() rotated = true end
    local position = redis.call('HGET', ids, id) or redis.call('HGET', older, id)
    if position then
      out[#out + 1] = '=' .. position
    else
      position = add_message(at + 2, count)
      remember_id(id, position)
      out[#out + 1] = position
    end
  end
  at = at + 2 + count
end
return out
