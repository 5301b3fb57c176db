-- execution: what claim and renew both write of one; put in front of them. (typed.lua)

-- When a lease ends: in whole seconds, rounded up, as RQ's own registries have them: the server reads, compares and
-- keeps them faster than fractions. Leases of less than one are for tests.
local function lease_moment(ends, length)
  return length < 1 and string.format('%.6f', ends) or string.format('%d', math.ceil(ends))
end

-- RQ's record of an execution: a hash, and an entry in the job's index. ends: its score there; keep: s until they go.
local function record(hash, index, id, execution, worker, claimed_at, now, ends, keep)
  local beat = string.format('%.6f', now)
  if redis.call('EXISTS', hash) == 1 then
    typed('HSET', hash, 'last_heartbeat', beat)
  else
    redis.call('HSET', hash, 'id', execution, 'job_id', id, 'created_at', string.format('%.6f', claimed_at),
      'last_heartbeat', beat, 'worker_name', worker)
  end
  redis.call('EXPIRE', hash, keep)
  typed('ZADD', index, ends, execution)
  redis.call('EXPIRE', index, keep)
end
