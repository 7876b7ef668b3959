-- Finds out whether a write whose reply was lost was applied. If it was not, the
-- script fences it off, so that it is not applied later.
-- KEYS: log, fence
-- ARGV: name of the write, a revision from before the write, maximum number of
--       entries and maximum bytes to search, how long to keep the fence in ms
-- Returns pairs of an operation's number and its revision; or an empty list if
-- the write was not applied and never will be; or false if the log no longer
-- tells.
log = KEYS[1]
local fence, name, since = KEYS[2], ARGV[1] .. ':', ARGV[2]
local entries, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local found, last, complete = {}, '+', false
while entries > 0 and bytes > 0 and not complete do
  local part = redis.call('XREVRANGE', log, last, since, 'COUNT', 10)
  if #part == 0 then
    return false
  end
  for _, e in ipairs(part) do
    local id, fields = e[1], e[2]
    entries, bytes, last = entries - 1, bytes - #fields[#fields], '(' .. id
    if string.sub(fields[2], 1, #name) == name then
      found[#found + 1], found[#found + 2] = string.sub(fields[2], #name + 1), id
    end
    complete = complete or id == since
  end
end
if #found > 0 then
  return found
end
if not complete then
  return false
end
local now = serverMilliseconds()
redis.call('ZREMRANGEBYSCORE', fence, '-inf', string.format('%.0f', now - ARGV[5]))
redis.call('ZADD', fence, string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', fence, ARGV[5])
return found
