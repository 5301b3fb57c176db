-- typed: how a key that may be of any type is met; put in front of the scripts that need it.

-- Call a command; nil where its key is of another type, and so holds nothing of ours. Any other error (a right that
-- is missing above all) ends the script: it must never count as "there is none".
local function typed(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil end
  error(reply.err, 0)
end
