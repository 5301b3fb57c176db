-- add: put addresses onto the suppression list. (suppress.lua)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys)   2 the list's mark (suppress.lua)
-- ARGV  1 what all keys begin with
--       then for each address: it in its normal form, the reason, epoch seconds ("" = now), text ("" = none)
-- Reply one word an address, as `suppress` says it
--
-- The first write is one that a server without memory refuses.

redis.call('SET', KEYS[1], '')
redis.call('DEL', KEYS[1])
local time, words = redis.call('TIME'), {}
for i = 2, #ARGV, 4 do
  words[#words + 1] = suppress(ARGV[1], ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]) or tonumber(time[1]), ARGV[i + 3])
end
return words
