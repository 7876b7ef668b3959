-- Operations that are independent of each other.
-- KEYS: log, index, deadlines, fence, then the slot of each operation's key
-- ARGV: history, name of the call, place of the key in a slot's name,
--       then of each operation: kind, value, revision, time to live in ms
-- Answers with one value for each: the revision written, 0 for a delete, 1 for
-- a condition that did not hold, or an error.
log, index, deadlines, history = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local refused = refusal(KEYS[4], ARGV[2])
if refused then
  return refused
end

local function delete(slot, key, flag)
  if not flag then
    return 0
  end
  -- The delete comes first: a server out of memory refuses what a script
  -- writes first if it takes memory.
  remove(slot, key, flag)
  record('D' .. key, '')
  return 0
end

local function write(slot, key, kind, value, revision, ttl)
  local current, flag = look(slot, key)
  if kind == '3' and current or (kind == '4' or kind == '6') and current ~= revision then
    return 1
  end
  if kind == '5' or kind == '6' then
    return delete(slot, key, flag)
  end
  local written = record('P' .. key, value)
  if type(written) ~= 'table' then
    put(slot, key, value, ttl, flag, written)
  end
  return written
end

local answers = {}
for i = 1, #KEYS - 4 do
  local slot, a = KEYS[4 + i], 4 * i
  nonce = ARGV[2] .. ':' .. i
  answers[i] = write(slot, string.sub(slot, ARGV[3]), ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3])
end
return answers
