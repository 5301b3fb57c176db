-- typed: how a key that may be of any type is met; put in front of the scripts that need it.

-- What an error of redis.pcall says: nil where a key is of another type, and so holds nothing of ours. Any other (a
-- right that is missing above all) ends the script: it must never count as "there is none".
local function judged(reply)
  if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil end
  error(reply.err, 0)
end

-- Call a command; nil where its key is of another type.
local function typed(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  return judged(reply)
end
