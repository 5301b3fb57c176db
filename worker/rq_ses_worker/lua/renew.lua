-- renew: extend leases that still stand, and tell RQ that their executions live.
--
-- KEYS  for each queue: its started registry, its leases
-- ARGV  1 lease, s   2 grace, s   3 now, in RQ's date form
--       4-6 prefixes of the keys of jobs, executions, and a job's index of executions
--       then for each lease: queue's place, job id, execution
-- Reply places (from 0) of those leases that no longer stand, and were not extended

local lease, grace, today = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local job_prefix, execution_prefix, index_prefix = ARGV[4], ARGV[5], ARGV[6]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local lease_end, started_end = string.format('%.6f', now + lease), string.format('%.6f', now + lease + grace)
local beat, keep, lost = string.format('%.6f', now), math.ceil(lease + grace), {}

for i = 7, #ARGV, 3 do
  local at, id, execution = 1 + tonumber(ARGV[i]) * 2, ARGV[i + 1], ARGV[i + 2]
  local member = id .. ':' .. execution
  if redis.call('ZSCORE', KEYS[at + 1], member) then
    redis.call('ZADD', KEYS[at + 1], 'XX', lease_end, member)
    redis.call('ZADD', KEYS[at], 'XX', started_end, member)
    if redis.call('EXPIRE', execution_prefix .. member, keep) == 1 then
      redis.call('HSET', execution_prefix .. member, 'last_heartbeat', beat)
      redis.call('ZADD', index_prefix .. id, 'XX', started_end, execution)
      redis.call('EXPIRE', index_prefix .. id, keep)
    end
    if redis.call('EXISTS', job_prefix .. id) == 1 then redis.call('HSET', job_prefix .. id, 'last_heartbeat', today) end
  else
    lost[#lost + 1] = (i - 7) / 3
  end
end
return lost
