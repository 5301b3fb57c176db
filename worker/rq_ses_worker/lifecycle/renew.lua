-- renew: extend leases that still stand, and tell RQ that their executions live. (typed.lua, execution.lua;
-- CLEANUP_GRACE, EXECUTION_FIELD: contract.LUA_CONSTANTS)
--
-- KEYS  1 a scratch key   then for each queue: its started registry, its leases
-- ARGV  1 lease, s   2 now, in RQ's date form   3 worker name   4 what all keys begin with
--       then for each lease: queue's place, job id, execution
-- Reply places (from 0) of those leases that no longer stand, and were not extended
--       The first renewal makes the execution's hash and its entry in the job's index, as RQ has them.

local lease, today, worker, root, FIRST = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], 5
-- After it a lease is renewed on a server without memory, too.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local lease_end, started_end = lease_moment(now + lease, lease), lease_moment(now + lease + CLEANUP_GRACE, CLEANUP_GRACE)
local keep, lost = math.ceil(lease + CLEANUP_GRACE), {}

local standing = {}

-- The leases before what is for show: no key that somebody has spoilt may let another mail's lease run out.
for i = FIRST, #ARGV, 3 do
  local place, id, execution = 1 + tonumber(ARGV[i]) * 2, ARGV[i + 1], ARGV[i + 2]
  local member = id .. ':' .. execution
  local ends = typed('ZSCORE', KEYS[place + 2], member)
  if ends then
    redis.call('ZADD', KEYS[place + 2], 'XX', lease_end, member)
    standing[#standing + 1] = { id, execution, member, KEYS[place + 1], tonumber(ends) - lease }
  else
    lost[#lost + 1] = (i - FIRST) / 3
  end
end

-- A job that was deleted, and one that was made anew under its id, has no part in the execution.
local function tell(id, execution, member, claimed_at)
  local job = root .. 'job:' .. id
  if typed('HGET', job, EXECUTION_FIELD) ~= execution then return end
  redis.call('HSET', job, 'last_heartbeat', today)
  record(root .. 'execution:' .. member, root .. 'executions:' .. id, id, execution, worker, claimed_at, now, started_end,
    keep)
end

for _, lease_of in ipairs(standing) do
  local id, execution, member, started, claimed_at = unpack(lease_of)
  typed('ZADD', started, 'XX', started_end, member)
  tell(id, execution, member, claimed_at)
end
return lost
