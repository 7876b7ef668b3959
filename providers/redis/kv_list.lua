-- Returns a page of entries.
-- KEYS: log, index
-- ARGV: lower bound, upper bound, maximum number of entries, maximum bytes,
--       prefix of the value keys, 1 if the revision is wanted
-- Returns the revision or "", the last key read or "" if no key follows it, and
-- a list of keys and kept values in turn.
local revision, last, page, size = '', '', {}, 0
if ARGV[6] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then
  revision = lastRevision(KEYS[1])
end
local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
if #keys == tonumber(ARGV[3]) then
  last = keys[#keys]
end
for _, key in ipairs(keys) do
  local kept = redis.pcall('GET', ARGV[5] .. key)
  if isWrongType(kept) then
    kept = '' -- no string: another program has put it there
  end
  if kept then
    page[#page + 1], page[#page + 2] = key, kept
    size = size + #key + #kept
  end
  if size > tonumber(ARGV[4]) then
    last = key
    break
  end
end
return { revision, last, page }
