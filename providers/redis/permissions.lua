#!lua flags=no-writes
-- Finds out which commands the user may not run. The server checks the user's
-- permissions first, and then refuses every write, because of the flag.
-- KEYS: a key that need not exist
-- ARGV: commands with arguments; $ is the key
-- Returns the names of the commands that are denied.
local denied = {}
for _, line in ipairs(ARGV) do
  local words, name = {}, string.match(line, '^%S+')
  for word in string.gmatch(line, '[^ |]+') do
    words[#words + 1] = word == '$' and KEYS[1] or word
  end
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err and
      (string.find(reply.err, 'NOPERM', 1, true) or string.find(reply.err, "can't run this command", 1, true)) then
    denied[#denied + 1] = name
  end
end
return denied
