-- All writes if all conditions hold.
-- KEYS: log, index, deadlines, fence, then the slots of the conditions' keys,
--       then those of the writes' keys
-- ARGV: history, name of the call, place of the key in a slot's name, number of
--       conditions, then of each condition: revision; then of each write: kind,
--       value, time to live in ms
-- Answers with the revision, or with the number of the first condition that
-- does not hold.
log, index, deadlines, history, nonce = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2] .. ':1'
local refused = refusal(KEYS[4], ARGV[2])
if refused then
  return refused
end

local conditions = tonumber(ARGV[4])
for i = 1, conditions do
  local slot = KEYS[4 + i]
  local current = look(slot, string.sub(slot, ARGV[3]))
  if (current or '') ~= ARGV[4 + i] then
    return i
  end
end

local changes, removals, writes = {}, {}, {}
for i = 1, #KEYS - 4 - conditions do
  local slot, a = KEYS[4 + conditions + i], 2 + conditions + 3 * i
  local key, value = string.sub(slot, ARGV[3]), ARGV[a + 1]
  local _, flag = look(slot, key)
  if ARGV[a] == '2' then
    changes[#changes + 1], changes[#changes + 2] = 'P' .. key, value
    writes[#writes + 1] = { slot, key, value, ARGV[a + 2], flag }
  elseif flag then
    changes[#changes + 1], changes[#changes + 2] = 'D' .. key, ''
    removals[#removals + 1] = { slot, key, flag }
  end
end

if #changes == 0 then
  return lastRevision(log)
end
local function removeAll()
  for _, r in ipairs(removals) do
    remove(r[1], r[2], r[3])
  end
end
-- A server out of memory may refuse what a script writes first, and nothing
-- after it. So the entry comes first where it takes the room of a value, and
-- last where the transaction only makes room.
if #writes == 0 then
  removeAll()
  return record(unpack(changes))
end
local revision = record(unpack(changes))
if type(revision) == 'table' then
  return revision
end
removeAll()
for _, w in ipairs(writes) do
  put(w[1], w[2], w[3], w[4], w[5], revision)
end
return revision
