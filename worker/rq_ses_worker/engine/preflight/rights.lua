-- rights: tell what the user of this connection may not do; nothing is called.
--
-- KEYS  none
-- ARGV  1 JSON list of commands, each a list of its words
-- Reply the numbers (from 1) of those that are refused, or that the server doesn't know; nothing before Redis 7

if not redis.acl_check_cmd then return nil end
local refused = {}
for number, words in ipairs(cjson.decode(ARGV[1])) do
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then refused[#refused + 1] = number end
end
return refused
