-- reclaim: read the leases that have run out, so that settle can end them (with `overdue`). (typed.lua; RECIPIENTS_FIELD:
-- contract.LUA_CONSTANTS)
--
-- KEYS  1 a scratch key   then for each queue: its leases
-- ARGV  1 leases to read at most, a queue   2 prefix of job keys
--       What isn't "JOB:EXECUTION" is no lease of ours and dropped.
-- Reply for each: queue's place, "JOB:EXECUTION", the job's meta, the worker that held it, its recipients
--       ("": not told)

local most, job_prefix = tonumber(ARGV[1]), ARGV[2]
-- Where nothing can be written, living workers can't renew their leases either: none may be taken for lost.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now = string.format('%.6f', time[1] + time[2] / 1000000)
local found = {}

for place = 2, #KEYS do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[place], '-inf', now, 'LIMIT', 0, most)) do
    local id = string.match(member, '^([%w_-]+):%w+$')
    if id then
      local hash = typed('HMGET', job_prefix .. id, 'meta', 'worker_name', RECIPIENTS_FIELD) or {}
      found[#found + 1] = { place - 2, member, hash[1] or '', hash[2] or '', hash[3] or '' }
    else
      redis.call('ZREM', KEYS[place], member)
    end
  end
end
return found
