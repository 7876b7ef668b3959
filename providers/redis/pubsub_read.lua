-- Reads on for a broadcast.
-- KEYS: stream, meta
-- ARGV: epoch, place (see below), limit, most bytes
-- Returns status, place, messages as {id, fields}. The status is "ok"; "gap"
-- with no messages if some behind the position are gone, to be read on from the
-- place returned; or "lost" if this is another topic.
--
-- A place is four things: position; ordinal of the message there (-1 if
-- unknown); highest id known to be deleted one by one; and 1 if the position
-- is that of a message which was read, else 0.
local stream, meta = KEYS[1], KEYS[2]
local epoch, position, ordinal, deleted, seen = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local limit, max_bytes = tonumber(ARGV[6]), tonumber(ARGV[7])
local CHUNK = 16

if redis.call('HGET', meta, 'epoch') ~= epoch or redis.call('EXISTS', stream) == 0 then return { 'lost' } end

local info = to_map(redis.call('XINFO', 'STREAM', stream))
local first = info['first-entry'] and info['first-entry'][1]
local last, added = info['last-generated-id'], info['entries-added']
local removed = added - info['length']
local max_deleted = info['max-deleted-entry-id']

local function gap(from, n) return { 'gap', { from, n, max_deleted, 0 }, {} } end

-- The server has less than it had: it was restored from an older state.
if less(last, position) then return gap(last, added) end
if ordinal > added then return gap(position, -1) end

local in_front = not first or less(position, first)
if in_front and removed > 0 then
  -- The stream was trimmed up to here, or beyond. If the ordinal is not known,
  -- the worst is assumed.
  if removed ~= ordinal and (seen == 1 or ordinal < 0 or removed > ordinal) then return gap(position, removed) end
elseif seen == 1 and position ~= max_deleted and #redis.call('XRANGE', stream, position, position) == 0 then
  -- A message in the midst is not there any more, and was not deleted.
  return gap(position, -1)
end
-- Single messages behind the position were deleted.
if less(position, max_deleted) and less(deleted, max_deleted) then return gap(position, -1) end

local out, bytes, drained = {}, 0, false
while #out < limit and bytes < max_bytes and not drained do
  local want = math.min(limit - #out, CHUNK)
  local got = redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', want)
  for _, e in ipairs(got) do
    out[#out + 1] = e
    bytes = bytes + size_of(e[2])
    position, seen = e[1], 1
  end
  drained = #got < want
end
if ordinal >= 0 then ordinal = ordinal + #out end
if drained then ordinal = added end
return { 'ok', { position, ordinal, max_deleted, seen }, out }
