-- Returns the endpoints whose leases have not ended.
-- KEYS: leases, changes, ended
-- Returns the ID of the last change, the ms until the next lease ends (-1 if
-- there is no lease), and the members of the endpoints.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local list = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
local members, ends = {}, -1
for i = 1, #list, 2 do
  members[#members + 1] = list[i]
end
if #list > 0 then
  ends = tonumber(list[2]) - now
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return { last[1] and last[1][1] or '0-0', ends, members }
