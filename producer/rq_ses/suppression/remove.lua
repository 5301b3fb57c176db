-- remove: take addresses off the suppression list. (suppress.lua)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys)   2 the list's mark (suppress.lua)
-- ARGV  1 what all keys begin with, then addresses in their normal form
-- Reply one number an address: 1 if it was there

redis.call('DEL', KEYS[1])
local found = {}
for i = 2, #ARGV do found[i - 1] = unsuppress(ARGV[1], ARGV[i]) and 1 or 0 end
return found
