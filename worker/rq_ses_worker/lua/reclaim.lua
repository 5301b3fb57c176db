-- reclaim: read the leases that have run out, so that settle can end them (with `overdue`).
--
-- KEYS  for each queue: its leases
-- ARGV  1 leases to read at most, a queue   2 prefix of job keys
--       What isn't "JOB:EXECUTION" is no lease of ours and dropped.
-- Reply for each: queue's place, "JOB:EXECUTION", the job's meta, the worker that held it

local most, job_prefix = tonumber(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local now = string.format('%.6f', time[1] + time[2] / 1000000)
local found = {}

for place = 1, #KEYS do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[place], '-inf', now, 'LIMIT', 0, most)) do
    local id = string.match(member, '^([%w_-]+):%w+$')
    if id then
      local hash = redis.pcall('HMGET', job_prefix .. id, 'meta', 'worker_name')
      found[#found + 1] = { place - 1, member, not hash.err and hash[1] or '', not hash.err and hash[2] or '' }
    else
      redis.call('ZREM', KEYS[place], member)
    end
  end
end
return found
