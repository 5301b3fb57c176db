-- parts: jobs that are made of some of a bulk job's entries; put in front of split. (typed.lua, finish.lua, receipt.lua; FAILED_GRACE:
-- contract.LUA_CONSTANTS)

local function add_fields(fields, ...)
  for _, value in ipairs({ ... }) do fields[#fields + 1] = value end
end

-- A part's place comes first, its hash then. One whose hash is there was made before.
-- whole: what all parts have from the job they were in
local function make_part(batch, queue, whole, part)
  local job, id = batch.jobs .. part.id, part.id
  if redis.call('EXISTS', job) == 1 then
    -- Broken off between the two, a failed one has no time to live.
    if part.ttl and part.ttl >= 0 and redis.call('HGET', job, 'status') == part.status
      and redis.call('TTL', job) == -1 then
      redis.call('EXPIRE', job, part.keep)
    end
    return
  end
  local fields = { 'created_at', whole.created, 'status', part.status, 'origin', whole.origin, 'timeout', whole.timeout,
    'result_ttl', whole.result_ttl, 'failure_ttl', whole.failure_ttl, 'description', part.description, 'data', part.data,
    whole.campaign_field, whole.campaign, whole.recipients_field, part.entries, 'enqueued_at', whole.enqueued,
    'started_at', part.started }
  if part.meta ~= '' then add_fields(fields, 'meta', part.meta) end
  if part.status == 'queued' then
    redis.call('LPUSH', queue.list, id)
  else
    add_fields(fields, 'ended_at', whole.ended, 'worker_name', '')
    redis.call('ZADD', registry(batch, queue, part.status), part.score, id)
  end
  if part.exc ~= '' then add_fields(fields, 'exc_info', part.exc) end
  redis.call('HSET', job, unpack(fields))
  if part.ttl and part.ttl >= 0 then redis.call('EXPIRE', job, part.keep) end
  if part.result ~= '' then
    local failed = part.status == 'failed'
    add_result(batch, id, part.ttl, failed and '2' or '1', failed and 'exc_string' or 'return_value', part.result)
  end
end

-- What is written of a split first, in one step with what is left to the job: from then on the parts are made of it,
-- whoever comes by, and it goes when all are. What isn't of our making says of no part, and keeps nobody from its job.
local function make_parts(batch, queue, id, packed)
  local fine, left = pcall(cmsgpack.unpack, packed)
  if fine and type(left) == 'table' and type(left.whole) == 'table' and type(left.parts) == 'table' then
    for number = #left.parts, 1, -1 do make_part(batch, queue, left.whole, left.parts[number]) end
  end
  redis.call('HDEL', batch.jobs .. id, PARTS_FIELD)
end
