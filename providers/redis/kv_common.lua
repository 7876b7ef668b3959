-- Shared by the scripts of the kv facet. Scripts that write set these variables.
--
-- The value of a key is kept as REVISION FLAG VALUE, in one string under a Redis
-- key of its own, the value key. The flag is "!" if the key has a time to live,
-- else ".", and counts as "?" if another program has written the key. Redis itself deletes the value at its deadline. The sorted set
-- "deadlines" holds the keys whose expiry has not yet been recorded in the log
-- and in the index.
local log, index, deadlines, history, nonce

-- serverMilliseconds returns the time of the server.
local function serverMilliseconds()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- lastRevision returns the newest revision of a log that exists.
local function lastRevision(stream)
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return info[i + 1]
    end
  end
end

-- record appends the changes of one revision to the log, and returns the
-- revision, which is the ID of the entry. A change is two arguments: the kind
-- and the key in one string, and the value. If the server refuses, it returns nil
-- and the server's error.
--
-- No script returns an error reply inside a table: the client then takes the error
-- for the whole reply, and the rest of the table for the next one.
local function record(...)
  local reply = redis.pcall('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', history, '*', 'N', nonce, ...)
  if type(reply) == 'table' then
    return nil, reply.err
  end
  return reply
end

-- UNRECORDED begins the error of a change that was applied, but is not in the log.
local UNRECORDED = 'UNRECORDED '

-- recordExpiry records that Redis has deleted an expired key, unless that is
-- recorded already. It writes only in that case: a server that is out of memory
-- lets a script continue that has already written.
local function recordExpiry(key)
  if redis.call('ZSCORE', deadlines, key) then
    redis.call('ZREM', deadlines, key)
    redis.call('ZREM', index, key)
    record('X' .. key, '')
  end
end

-- isWrongType reports whether a reply says that a key has another type, and passes
-- every other error on.
local function isWrongType(reply)
  if type(reply) ~= 'table' or not reply.err then
    return false
  end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply)
  end
  return true
end

-- readHead returns the revision and the flag of a key, or nil if the key does not
-- exist. For something that another program has put there, it returns true, which
-- is no revision, and "?".
local function readHead(valueKey, key)
  local head = redis.pcall('GETRANGE', valueKey, 0, 63)
  if head == '' then
    recordExpiry(key)
    return nil
  end
  if isWrongType(head) then
    return true, '?'
  end
  local revision, flag = string.match(head, '^(%d+%-%d+)([.!])')
  return revision or true, flag or '?'
end

-- deadlineOf returns when a time to live ends, or nil if ttl is "0".
local function deadlineOf(ttl)
  if ttl ~= '0' then
    return string.format('%.0f', serverMilliseconds() + ttl)
  end
end

-- putValue writes a key. flag is the key's present flag, nil if the key does not
-- exist. Nothing in it can fail: the types of the keys and the deadline were
-- checked before.
local function putValue(valueKey, key, value, deadline, flag, revision)
  if deadline then
    redis.call('SET', valueKey, revision .. '!' .. value, 'PXAT', deadline)
    redis.call('ZADD', deadlines, deadline, key)
  else
    redis.call('SET', valueKey, revision .. '.' .. value)
    if flag == '!' or flag == '?' then
      redis.call('ZREM', deadlines, key)
    end
  end
  if not flag or flag == '?' then
    redis.call('ZADD', index, 0, key)
  end
end

local function removeValue(valueKey, key, flag)
  redis.call('UNLINK', valueKey)
  redis.call('ZREM', index, key)
  if flag ~= '.' then
    redis.call('ZREM', deadlines, key)
  end
end

-- refusalError is the error for a store that does not exist, and for a write that
-- arrives after its caller was told that it will never be applied. It fails if
-- another program has put something else under a key of the store, so that no
-- later command does.
local function refusalError(fence, name)
  if redis.call('EXISTS', log) == 0 then
    return { err = 'NOSTORE the store does not exist' }
  end
  redis.call('XRANGE', log, '-', '-', 'COUNT', 1)
  redis.call('ZSCORE', index, '')
  redis.call('ZSCORE', deadlines, '')
  if redis.call('ZSCORE', fence, name) then
    return { err = 'FENCED the write came too late' }
  end
end
