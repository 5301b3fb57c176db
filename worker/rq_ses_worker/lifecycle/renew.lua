-- renew: extend leases that still stand, and tell RQ that their executions live. (typed.lua)
--
-- KEYS  1 a scratch key   then for each queue: its started registry, its leases
-- ARGV  1 lease, s   2 grace, s   3 now, in RQ's date form
--       4-6 prefixes of the keys of jobs, executions, and a job's index of executions
--       then for each lease: queue's place, job id, execution
-- Reply places (from 0) of those leases that no longer stand, and were not extended

local lease, grace, today = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local job_prefix, execution_prefix, index_prefix = ARGV[4], ARGV[5], ARGV[6]
-- After it a lease is renewed on a server without memory, too.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local lease_end, started_end = string.format('%.6f', now + lease), string.format('%.6f', now + lease + grace)
local beat, keep, lost = string.format('%.6f', now), math.ceil(lease + grace), {}

local standing = {}

-- The leases before what is for show: no key that somebody has spoilt may let another mail's lease run out.
for i = 7, #ARGV, 3 do
  local place, id, execution = 1 + tonumber(ARGV[i]) * 2, ARGV[i + 1], ARGV[i + 2]
  local member = id .. ':' .. execution
  if typed('ZSCORE', KEYS[place + 2], member) then
    redis.call('ZADD', KEYS[place + 2], 'XX', lease_end, member)
    standing[#standing + 1] = { id, execution, member, KEYS[place + 1] }
  else
    lost[#lost + 1] = (i - 7) / 3
  end
end

for _, lease_of in ipairs(standing) do
  local id, execution, member, started = unpack(lease_of)
  typed('ZADD', started, 'XX', started_end, member)
  if redis.call('EXPIRE', execution_prefix .. member, keep) == 1 then
    typed('HSET', execution_prefix .. member, 'last_heartbeat', beat)
    typed('ZADD', index_prefix .. id, 'XX', started_end, execution)
    redis.call('EXPIRE', index_prefix .. id, keep)
  end
  if redis.call('EXISTS', job_prefix .. id) == 1 then typed('HSET', job_prefix .. id, 'last_heartbeat', today) end
end
return lost
