-- Applies operations that are independent of each other.
-- KEYS: log, index, deadlines, fence, then the value key of each operation
-- ARGV: history, name of the call, index of the key in a value key,
--       then for each operation: kind, value, revision, time to live in ms
-- Returns one value for each operation: the revision written, 0 for a delete, the
-- server's error with the prefix "-", or for a condition that did not hold: a table
-- with what is stored under the key, an empty table if the key does not exist, or 1
-- if another program has written the key, or the values in this reply are too large
-- together.
log, index, deadlines, history = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local refused = refusalError(KEYS[4], ARGV[2])
if refused then
  return refused
end

local function refusal(err) return '-' .. err end

local function delete(valueKey, key, flag)
  if not flag then
    return 0
  end
  -- The removal comes first: a server that is out of memory refuses the first
  -- write of a script if it needs memory.
  removeValue(valueKey, key, flag)
  local revision, err = record('D' .. key, '')
  return revision and 0 or refusal(UNRECORDED .. err)
end

-- room is the number of bytes of present values that one reply still takes.
local room = 1048576

-- conflict returns the reply for a condition that did not hold.
local function conflict(valueKey, flag)
  if not flag then
    return {}
  end
  if flag == '?' then
    return 1
  end
  room = room - redis.call('STRLEN', valueKey)
  if room < 0 then
    return 1
  end
  return { redis.call('GET', valueKey) }
end

local function write(valueKey, key, kind, value, revision, ttl)
  local deadline = deadlineOf(ttl)
  local current, flag = readHead(valueKey, key)
  if kind == '3' and current or (kind == '4' or kind == '6') and current ~= revision then
    return conflict(valueKey, flag)
  end
  if kind == '5' or kind == '6' then
    return delete(valueKey, key, flag)
  end
  local written, err = record('P' .. key, value)
  if not written then
    return refusal(err)
  end
  putValue(valueKey, key, value, deadline, flag, written)
  return written
end

local replies = {}
for i = 1, #KEYS - 4 do
  local valueKey, a = KEYS[4 + i], 4 * i
  nonce = ARGV[2] .. ':' .. i
  replies[i] = write(valueKey, string.sub(valueKey, ARGV[3]), ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
end
return replies
