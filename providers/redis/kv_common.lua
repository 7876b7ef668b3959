-- What the scripts share. Those that write set these variables.
--
-- The value of a key is kept as REVISION FLAG VALUE, in one string: the flag
-- is "!" if it has a time to live, else ".". Redis itself lets it go at its
-- deadline; the sorted set "deadlines" remembers those whose end has still to
-- be told to the watchers and taken out of the index.
local log, index, deadlines, history, nonce

local function milliseconds()
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
-- revision, which is the entry's id. Changes are pairs of kind and key, and
-- value. It returns a table if the server refuses.
local function record(...)
  return redis.pcall('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', history, '*', 'N', nonce, ...)
end

-- expired tells of a key that Redis has let go, unless that was told. It
-- writes only then: a server out of memory lets a script go on that has written.
local function expired(key)
  if redis.call('ZSCORE', deadlines, key) then
    redis.call('ZREM', deadlines, key)
    redis.call('ZREM', index, key)
    record('X' .. key, '')
  end
end

-- look returns the revision and the flag of a key, or nil.
local function look(slot, key)
  local head = redis.call('GETRANGE', slot, 0, 63)
  if head == '' then
    expired(key)
    return nil
  end
  return string.match(head, '^(%d+%-%d+)([.!])')
end

-- put writes a key whose flag was the given one, nil if it did not exist.
local function put(slot, key, value, ttl, flag, revision)
  if ttl ~= '0' then
    local deadline = string.format('%.0f', milliseconds() + ttl)
    redis.call('SET', slot, revision .. '!' .. value, 'PXAT', deadline)
    redis.call('ZADD', deadlines, deadline, key)
  else
    redis.call('SET', slot, revision .. '.' .. value)
    if flag == '!' then
      redis.call('ZREM', deadlines, key)
    end
  end
  if not flag then
    redis.call('ZADD', index, 0, key)
  end
end

local function remove(slot, key, flag)
  redis.call('UNLINK', slot)
  redis.call('ZREM', index, key)
  if flag == '!' then
    redis.call('ZREM', deadlines, key)
  end
end

-- refusal is the error for a store that is gone, and for a write that came
-- after its caller was told that it never would.
local function refusal(fence, name)
  if redis.call('EXISTS', log) == 0 then
    return { err = 'NOSTORE the store does not exist' }
  end
  if redis.call('ZSCORE', fence, name) then
    return { err = 'FENCED the write came too late' }
  end
end
