-- Applies all writes if all conditions hold.
-- KEYS: log, index, deadlines, fence, then the value keys of the conditions,
--       then the value keys of the writes
-- ARGV: history, name of the call, index of the key in a value key, number of
--       conditions, then for each condition: revision; then for each write:
--       kind, value, time to live in ms
-- Returns the revision, or the number of the first condition that does not hold.
log, index, deadlines, history, nonce = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2] .. ':1'
local refused = refusalError(KEYS[4], ARGV[2])
if refused then
  return refused
end

local conditions = tonumber(ARGV[4])
for i = 1, conditions do
  local valueKey = KEYS[4 + i]
  local current = readHead(valueKey, string.sub(valueKey, ARGV[3]))
  if (current or '') ~= ARGV[4 + i] then
    return i
  end
end

local changes, removals, writes = {}, {}, {}
for i = 1, #KEYS - 4 - conditions do
  local valueKey, a = KEYS[4 + conditions + i], 2 + conditions + 3 * i
  local key, value = string.sub(valueKey, ARGV[3]), ARGV[a + 1]
  local _, flag = readHead(valueKey, key)
  if ARGV[a] == '2' then
    changes[#changes + 1], changes[#changes + 2] = 'P' .. key, value
    writes[#writes + 1] = { valueKey, key, value, deadlineOf(ARGV[a + 2]), flag }
  elseif flag then
    changes[#changes + 1], changes[#changes + 2] = 'D' .. key, ''
    removals[#removals + 1] = { valueKey, key, flag }
  end
end

if #changes == 0 then
  return lastRevision(log)
end
local function removeAll()
  for _, r in ipairs(removals) do
    removeValue(r[1], r[2], r[3])
  end
end
-- A server that is out of memory may refuse the first write of a script, and no
-- later one. So the log entry is written first if the transaction needs memory,
-- and last if it only frees memory.
if #writes == 0 then
  removeAll()
  local revision, err = record(unpack(changes))
  return revision or { err = UNRECORDED .. err }
end
local revision, err = record(unpack(changes))
if not revision then
  return { err = err }
end
removeAll()
for _, w in ipairs(writes) do
  putValue(w[1], w[2], w[3], w[4], w[5], revision)
end
return revision
