-- promote: put scheduled jobs that are due into their queue; never one that is not. (typed.lua)
--
-- KEYS  1 a scratch key   then for each queue: its scheduled registry, its list
-- ARGV  1 jobs to move at most, a queue   2 now, in RQ's date form   3 prefix of job keys
-- Reply { jobs moved, microseconds until the next one is due ("" where none is scheduled), and the server's time:
--       seconds, microseconds }
--       A retry goes to the front (its turn has been), a mail that was sent for later to the back.
--       Broken off, it leaves an id in the list that isn't queued, which claim drops, or one in the registry that is
--       no longer scheduled, which is dropped here.

local most, today, job_prefix = tonumber(ARGV[1]), ARGV[2], ARGV[3]
-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local moved, soonest = 0, nil

for at = 2, #KEYS, 2 do
  local scheduled, list = KEYS[at], KEYS[at + 1]
  -- A key of another type must not keep the other queues from being promoted.
  local due = typed('ZRANGEBYSCORE', scheduled, '-inf', string.format('%.6f', now), 'LIMIT', 0, most)
  if due and (#due == 0 or typed('LLEN', list)) then
    for _, id in ipairs(due) do
      local job = job_prefix .. id
      local hash = typed('HMGET', job, 'status', 'started_at')
      if hash and hash[1] == 'scheduled' then
        if hash[2] and hash[2] ~= '' then redis.call('LPUSH', list, id) else redis.call('RPUSH', list, id) end
        redis.call('HSET', job, 'status', 'queued', 'enqueued_at', today)
        moved = moved + 1
      end
      redis.call('ZREM', scheduled, id)
    end
    local first = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
    if first[2] and (not soonest or tonumber(first[2]) < soonest) then soonest = tonumber(first[2]) end
  end
end
-- A score may be anything, infinite too.
local pause = soonest and math.max(0, math.min(soonest - now, 1e9))
return { moved, pause and string.format('%.0f', math.ceil(pause * 1000000)) or '', time[1], time[2] }
