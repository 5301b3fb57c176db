-- probing: tell the gate which mail the probe is that it has granted, that it is still being made, or that there was
-- none. (typed.lua, gate.lua)
--
-- KEYS  1 the account's hash (gate.lua)   2 a scratch key
-- ARGV  1 the probe as the gate knows it: the name it was granted under, or JOB:EXECUTION
--       2 JOB:EXECUTION, "" if no mail was there   3 seconds for which it is held to be made, from now on
--       4 its job
-- Reply 1 if that is the probe being made

redis.call('DEL', KEYS[2])
local account = typed('HMGET', KEYS[1], 'probe')
if not account then return no_hash(KEYS[1]) end
if account[1] ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
if ARGV[2] == '' then
  redis.call('HSET', KEYS[1], 'state', 'open', 'next_probe', string.format('%.6f', now))
  redis.call('HDEL', KEYS[1], 'probe', 'probe_until')
else
  redis.call('HSET', KEYS[1], 'probe', ARGV[2], 'probe_until', string.format('%.6f', now + ARGV[3]),
    'last_probe', ARGV[4])
end
return 1
