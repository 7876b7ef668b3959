-- Reads on for a broadcast.
-- KEYS: stream, meta
-- ARGV: epoch, position, ordinal of the message there (-1 if unknown), highest
--       id known to be deleted one by one, limit, most bytes
-- Returns status, position, ordinal, highest deleted id, messages as
-- {id, fields}. The status is "ok"; "gap" with no messages if some behind the
-- position are gone, to be read on from what is returned; or "lost" if this
-- is another topic.
local stream, meta = KEYS[1], KEYS[2]
local epoch, position, ordinal, deleted = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local limit, max_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local CHUNK = 8

if redis.call('HGET', meta, 'epoch') ~= epoch or redis.call('EXISTS', stream) == 0 then return { 'lost' } end

local info = to_map(redis.call('XINFO', 'STREAM', stream))
local first = info['first-entry'] and info['first-entry'][1]
local last, added = info['last-generated-id'], info['entries-added']
local removed = added - info['length']
local max_deleted = info['max-deleted-entry-id']

local function gap(from, n) return { 'gap', from, n, max_deleted, {} } end

-- The server has less than it had: it was restored from an older state.
if less(last, position) then return gap(last, added) end
if ordinal > added then return gap(position, -1) end
-- The front was trimmed beyond the position. If its ordinal is not known, a
-- message that was there and is not must do as the sign.
if ordinal >= 0 and removed > ordinal then return gap(position, removed) end
if ordinal < 0 and removed > 0 and (not first or less(position, first)) then return gap(position, removed) end
-- Single messages behind the position were deleted.
if less(position, max_deleted) and less(deleted, max_deleted) then return gap(position, -1) end

local out, bytes, drained, count = {}, 0, false, 0
local at = position
while #out < limit and bytes < max_bytes and not drained do
  local want = math.min(limit - #out, CHUNK)
  local got = redis.call('XRANGE', stream, '(' .. at, '+', 'COUNT', want)
  for _, e in ipairs(got) do
    out[#out + 1] = e
    bytes = bytes + size_of(e[2])
    at = e[1]
  end
  drained = #got < want
end
if ordinal >= 0 then ordinal = ordinal + #out end
if drained then
  -- Fewer or more than were added: the server lost some in between.
  if ordinal >= 0 and ordinal ~= added then return gap(position, -1) end
  ordinal = added
end
return { 'ok', at, ordinal, max_deleted, out }
