-- contested: what becomes of a mail that isn't started any more, or not by the execution that ends; put in front of
-- settle. (typed.lua, receipt.lua)

-- held: its lease stands; whole: the job, or what is recorded of it, names the execution; old: the job's status, the
-- execution it names, and of a mail that was sent all that a receipt takes over.
local function contested(batch, group, at, id, held, whole, old)
  -- Made only here, for few settlements need them.

  local function enter(batch, key, ttl, id)
    if not typed('ZADD', key, until_score(batch, ttl), id) then batch.spoilt = true end
  end

  -- Whether a job's newest result is one; a copy of what results are made of is none, and goes.
  local function has_result(key)
    local newest = typed('XREVRANGE', key, '+', '-', 'COUNT', 1)
    if not newest then return true end
    if newest[1] and newest[1][2][4] ~= '' then return true end
    redis.call('DEL', key)
    return false
  end

  -- An earlier try of this settlement may have broken off behind the change of its status.
  local function complete(batch, group, at, id, status)
    local job, queue = batch.jobs .. id, group.queue
    local ttl = redis.call('TTL', job)
    if status == 'finished' then
      enter(batch, queue.finished, ttl, id)
      if group.action == 'sent' and not has_result(batch.results .. id) then
        add_result(batch, id, ttl, '1', 'return_value', ARGV[at + 3])
      end
    elseif status == 'failed' then
      if ttl < 0 then
        ttl = ttl_of(redis.call('HGET', job, 'failure_ttl'), FAILURE_TTL)
      else
        ttl = math.max(0, ttl - FAILED_GRACE)
      end
      enter(batch, registry(batch, queue, 'failed'), ttl, id)
      keep_failed(job, ttl)
    end
  end

  -- An earlier try of this settlement has written the receipt, and its reply was lost: nobody else's ended then.
  local function is_written(batch, at, id)
    local by = redis.call('HMGET', batch.jobs .. id, 'ended_at', 'worker_name')
    return by[1] == ARGV[at + 2] and by[2] == short(batch.worker)
  end

  -- SES has a mail that isn't started, by what its worker says late, or because it was canceled or requeued meanwhile.
  local function write_late(batch, group, at, id, old)
    local queue, status = group.queue, old[1]
    if status == 'canceled' or status == 'stopped' then
      local note = 'SES accepted it: it was ' .. status .. ' while it was being sent'
      write_sent(batch, group, at, id, old, noted(group.meta, note))
      typed('ZREM', registry(batch, queue, 'canceled'), id)
      typed('ZREM', registry(batch, queue, 'failed'), id)
      return 'accepted'
    end
    local waits = status == 'queued' and typed('LPOS', queue.list, id)
      or (status == 'scheduled' or status == 'failed') and typed('ZSCORE', registry(batch, queue, status), id)
    if not waits then return 'lost' end
    write_sent(batch, group, at, id, old)
    if status == 'queued' then
      redis.call('LREM', queue.list, 1, id)
    else
      redis.call('ZREM', registry(batch, queue, status), id)
    end
    return 'late'
  end

  local function write_canceled(batch, group, at, id)
    local fields = { 'ended_at', ARGV[at + 2] }
    if group.meta ~= '' then fields[3], fields[4] = 'meta', group.meta end
    redis.call('HSET', batch.jobs .. id, unpack(fields))
    return 'canceled'
  end

  local action, status, named = group.action, old[1], old[2]
  local after = { sent = 'finished', retry = 'scheduled', failed = 'failed', back = 'queued' }
  local ours = named == '-' .. ARGV[at + 1] or action == 'sent'
  if held and ours and status == after[action] then
    complete(batch, group, at, id, status)
    return 'done'
  end
  if not held and action == 'sent' and status == 'finished' and is_written(batch, at, id) then return 'done' end
  if held and not whole and action ~= 'sent' then
    if status == 'finished' or status == 'failed' then complete(batch, group, at, id, status) end
    return 'vanished'
  end
  if action == 'sent' then
    -- A mail that nobody has claimed yet is another one under the same key. (Without a key an id is never used again.)
    local key, fresh = old[8], (old[5] or '') == ''
    if held and not whole and (fresh or status == 'started') then return 'vanished' end
    if not held and key and fresh then return 'lost' end
    return write_late(batch, group, at, id, old)
  end
  if status == 'canceled' then return write_canceled(batch, group, at, id) end
  return 'lost'
end
