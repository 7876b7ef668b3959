-- Reads the next messages of a broadcast.
-- KEYS: stream, meta
-- ARGV: epoch, cursor (see below), limit, maximum bytes
-- Returns status, cursor, and messages as {id, fields}. The status is "ok"; or
-- "gap", without messages, if some messages after the position are gone and the
-- next read starts at the returned cursor; or "lost" if this is another topic.
--
-- A cursor has four parts: position; ordinal of the message there (-1 if
-- unknown); highest ID that is known to have been deleted individually; and 1 if
-- the message at the position was read, else 0.
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

-- The server has less data than before: it was restored from an older state.
if less(last, position) then return gap(last, added) end
if ordinal > added then return gap(position, -1) end

local before_first = not first or less(position, first)
if before_first and removed > 0 then
  -- The stream was trimmed up to this position, or beyond it. If the ordinal is
  -- unknown, the script assumes that messages are missing.
  if removed ~= ordinal and (seen == 1 or ordinal < 0 or removed > ordinal) then return gap(position, removed) end
elseif seen == 1 and position ~= max_deleted and #redis.call('XRANGE', stream, position, position) == 0 then
  -- The message at the position is gone although the stream has older ones, and
  -- it was not deleted.
  return gap(position, -1)
end
-- Individual messages after the position were deleted.
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
