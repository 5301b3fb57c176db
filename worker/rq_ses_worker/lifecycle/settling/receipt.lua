-- receipt: what is left of a mail that is settled, and how a batch writes it; put in front of settle. (typed.lua,
-- finish.lua; FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS and ARGV are settle.lua's. What a batch has in hand stands in one table that functions are given: every local
-- that one captures would cost each call, and batches are small.

local function new_batch()
  local time = redis.call('TIME')
  return { now = time[1] + time[2] / 1000000, succeeded = 0, failed = 0, retried = 0,
    -- as finish.lua has it
    jobs = ARGV[1], results = ARGV[4], scratch = KEYS[2], result_scratch = KEYS[3], worker = ARGV[5],
    key_field = ARGV[7], key_memory = ARGV[8], default_ttl = ARGV[9], receipt = ARGV[11], made = {},
    -- what became of each settlement; entries of campaigns that are to be counted
    words = {}, campaigns = {} }
end

-- RQ's requeue leaves the time to live on a job: it must not end before anybody has looked.
local function keep_failed(job, ttl) keep(job, ttl < 0 and ttl or ttl + FAILED_GRACE) end

local function enter_finished(batch, queue, score, id)
  local n = #queue.entering
  queue.entering[n + 1], queue.entering[n + 2] = score, id
  queue.entered[#queue.entered + 1] = #batch.words + 1
end

local function write_sent(batch, group, at, id, old, meta)
  local ttl = receipt_ttl(batch, old)
  batch.succeeded = batch.succeeded + 1
  if ttl == 0 then
    redis.call('DEL', ARGV[1] .. id)
    return
  end
  enter_finished(batch, group.queue, put_receipt(batch, id, ttl, ARGV[at + 2], meta or group.meta, old), id)
  add_result(batch, id, ttl, '1', 'return_value', ARGV[at + 3])
end

-- While it was being sent, an event told that SES has accepted it, in this attempt or an earlier one (resolve.lua):
-- however this one has ended, it was sent. Its result comes first, for only the hash has it.
local function write_told(batch, group, at, id, result)
  local old = redis.call('HMGET', ARGV[1] .. id, 'status', ARGV[6], 'created_at', 'enqueued_at', 'started_at', 'origin',
    'description', 'result_ttl', ARGV[7], 'meta')
  local ttl, meta = receipt_ttl(batch, old), group.meta ~= '' and group.meta or old[10] or ''
  batch.succeeded = batch.succeeded + 1
  if ttl == 0 then
    redis.call('DEL', ARGV[1] .. id)
    return
  end
  add_result(batch, id, ttl, '1', 'return_value', result)
  enter_finished(batch, group.queue, put_receipt(batch, id, ttl, ARGV[at + 2], noted(meta, TOLD), old), id)
end

local function write_retry(batch, group, at, id)
  redis.call('ZADD', group.queue.scheduled, string.format('%.6f', batch.now + ARGV[at + 3]), id)
  redis.call('HSET', ARGV[1] .. id, 'status', 'scheduled', 'ended_at', ARGV[at + 2], 'worker_name', '', 'meta',
    group.meta, ARGV[6], '-' .. ARGV[at + 1])
  batch.retried = batch.retried + 1
end

local function write_failed(batch, group, at, id)
  local job = ARGV[1] .. id
  local given = redis.call('HGET', job, 'failure_ttl')
  local ttl = ttl_of(given, ARGV[10])
  redis.call('ZADD', group.queue.failed, until_score(batch, ttl), id)
  -- RQ can't read a job whose TTL is no whole number.
  if given and not string.match(given, '^-?%d+$') then redis.call('HSET', job, 'failure_ttl', ttl) end
  add_result(batch, id, ttl, '2', 'exc_string', ARGV[at + 4])
  redis.call('HSET', job, 'status', 'failed', 'ended_at', ARGV[at + 2], 'worker_name', '', 'meta', group.meta,
    'exc_info', ARGV[at + 3], ARGV[6], '-' .. ARGV[at + 1])
  keep_failed(job, ttl)
  batch.failed = batch.failed + 1
end

local function write_back(_, group, at, id)
  redis.call('LPUSH', group.queue.list, id)
  local fields = { 'status', 'queued', 'worker_name', '', ARGV[6], '-' .. ARGV[at + 1] }
  if group.meta ~= '' then fields[#fields + 1], fields[#fields + 2] = 'meta', group.meta end
  if ARGV[at + 3] == '1' then fields[#fields + 1], fields[#fields + 2] = 'started_at', '' end
  redis.call('HSET', ARGV[1] .. id, unpack(fields))
end
