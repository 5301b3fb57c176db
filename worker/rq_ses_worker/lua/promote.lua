-- promote: put scheduled jobs that are due into their queue; never one that is not.
--
-- KEYS  for each queue: its scheduled registry, its list
-- ARGV  1 jobs to move at most, a queue   2 now, in RQ's date form   3 prefix of job keys
-- Reply { jobs moved, microseconds until the next one is due ("" where none is scheduled), and the server's time:
--       seconds, microseconds }
--       A retry goes to the front (its turn has been), a mail that was sent for later to the back.

local most, today, job_prefix = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local moved, soonest = 0, nil

for at = 1, #KEYS, 2 do
  local scheduled, list = KEYS[at], KEYS[at + 1]
  -- A registry that isn't one must not keep the other queues from being promoted.
  local due = redis.pcall('ZRANGEBYSCORE', scheduled, '-inf', string.format('%.6f', now), 'LIMIT', 0, most)
  for _, id in ipairs(due.err and {} or due) do
    local job = job_prefix .. id
    redis.call('ZREM', scheduled, id)
    local hash = redis.pcall('HMGET', job, 'status', 'started_at')
    if not hash.err and hash[1] == 'scheduled' then
      redis.call('HSET', job, 'status', 'queued', 'enqueued_at', today)
      local retried = hash[2] and hash[2] ~= ''
      redis.call(retried and 'LPUSH' or 'RPUSH', list, id)
      moved = moved + 1
    end
  end
  local first = due.err and {} or redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
  if first[2] and (not soonest or tonumber(first[2]) < soonest) then soonest = tonumber(first[2]) end
end
-- A score may be anything, infinite too.
local pause = soonest and math.max(0, math.min(soonest - now, 1e9))
return { moved, pause and string.format('%.0f', math.ceil(pause * 1000000)) or '', time[1], time[2] }
