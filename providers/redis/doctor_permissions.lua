#!lua flags=no-writes,allow-cross-slot-keys
-- Finds out which commands the user may not run, and whether it may not use the key.
-- The server checks the user's permissions first, and then refuses every write,
-- because of the flag. The key is an argument, so that the script itself needs none.
-- ARGV: the key, which need not exist, then commands with arguments; $ is the key
-- Returns the server's answers to the commands: "" for none that is an error.
local answers = {}
for i = 2, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '[^ |]+') do
    words[#words + 1] = word == '$' and ARGV[1] or word
  end
  local reply = redis.pcall(unpack(words))
  answers[#answers + 1] = type(reply) == 'table' and reply.err or ''
end
return answers
