-- limits: keep what SES told of the account's limits, or that it didn't. (typed.lua, gate.lua)
--
-- KEYS  1 the account's hash (gate.lua)   2 a scratch key
-- ARGV  1 recipients a second ("": SES didn't tell)   2 in 24 hours (below 0: any number)   3 sent of these
--       4 seconds until SES is asked again
-- Reply nothing

redis.call('DEL', KEYS[2])
local account = typed('HMGET', KEYS[1], 'flow')
if not account then return no_hash(KEYS[1]) end
local flow = read_flow(account[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
flow.ask_at = now + ARGV[4]
if ARGV[1] == '' then
  flow.refused = now
else
  flow.rate, flow.quota, flow.used = tonumber(ARGV[1]), math.max(0, tonumber(ARGV[2])), tonumber(ARGV[3])
  -- What was claimed while SES was being asked isn't in its answer.
  flow.counted, flow.answered, flow.refused = flow.mark, now, 0
end
redis.call('HSET', KEYS[1], 'flow', packed_flow(flow))
