-- saved: what claim does with a job that RQ has saved, or that was started before; put in front of it. (typed.lua,
-- execution.lua; EXECUTION_FIELD, CLEANUP_GRACE: contract.LUA_CONSTANTS)

-- What only a job may have that RQ has saved, or that was started before, and so has a started_at: callbacks and
-- webhooks, and an execution before this. Returns 1 where it has one of the former.
local function read_saved(job, root, leases, id, lease)
  local hash = redis.call('HMGET', job, EXECUTION_FIELD, 'success_callback_name', 'failure_callback_name',
    'stopped_callback_name', 'webhooks')
  local execution = string.match(hash[1] or '', '^[^-].*')
  -- A job that names an execution whose lease stands was requeued by RQ's means while it is being sent. What SES says
  -- to that must count as this job's, and not as one's that was deleted and made anew (settle.lua).
  if execution and typed('ZSCORE', leases, id .. ':' .. execution) then
    local record = root .. 'execution:' .. id .. ':' .. execution
    typed('HSETNX', record, 'id', execution)
    redis.call('EXPIRE', record, math.ceil(lease + CLEANUP_GRACE))
  end
  for field = 2, 5 do
    if (hash[field] or '') ~= '' then return 1 end
  end
  return 0
end

-- Where RQ's index of a job's executions is left from a stock worker that died, builds before take one that isn't in it
-- for another job's: so it gets in, with its hash, as theirs do.
local function tell_older(root, id, execution, worker, now, ends, lease)
  local index, hash = root .. 'executions:' .. id, root .. 'execution:' .. id .. ':' .. execution
  if redis.call('EXISTS', index) == 0 then return end
  record(hash, index, id, execution, worker, now, now, ends, math.ceil(lease + CLEANUP_GRACE))
end
