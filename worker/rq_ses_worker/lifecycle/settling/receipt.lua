-- receipt: what is left of a mail that is settled, and how a batch writes it; put in front of settle and split.
-- (typed.lua, outcome.lua, finish.lua; constants: contract.LUA_CONSTANTS)
--
-- KEYS and ARGV are settle.lua's. What a batch has in hand stands in one table that functions are given: every local
-- that one captures would cost each call, and batches are small.

local function new_batch()
  local time, root = redis.call('TIME'), ARGV[1]
  return { now = time[1] + time[2] / 1000000, root = root,
    -- as finish.lua has it
    jobs = root .. 'job:', results = root .. 'results:', scratch = KEYS[1], result_scratch = KEYS[2], worker = ARGV[2],
    ttls = {}, made = {},
    -- where hooks are told, if they are, and how many outcomes are kept there
    stream = ARGV[3] ~= '' and ARGV[3] or nil, most = ARGV[4],
    -- number of the settlement that is being written; words: what became of those that weren't simply written
    number = 0, words = {},
    -- entries of campaigns that are to be counted
    campaigns = {} }
end

-- A queue of a batch. at: of its first key
local function queue_at(batch, at)
  local list = KEYS[at]
  return { list = list, started = KEYS[at + 1], leases = KEYS[at + 2], finished = KEYS[at + 3],
    name = string.sub(list, #batch.root + 7),
    -- of executions that are over: members, jobs, RQ's records
    over = {}, jobs = {}, records = {},
    -- scores and jobs that enter the finished registry, and the numbers of their settlements
    entering = {}, entered = {} }
end

-- The registries of a queue that few mails go through.
local function registry(batch, queue, kind) return batch.root .. kind .. ':' .. queue.name end

-- RQ's requeue leaves the time to live on a job: it must not end before anybody has looked.
local function keep_failed(job, ttl) keep(job, ttl < 0 and ttl or ttl + FAILED_GRACE) end

local function enter_finished(batch, queue, score, id)
  local entering = queue.entering
  local n = #entering
  entering[n + 1], entering[n + 2] = score, id
  queue.entered[n / 2 + 1] = batch.number
end

local function write_sent(batch, group, at, id, old, meta)
  local ttl = receipt_ttl(batch, old)
  if batch.stream then outcome(batch.stream, batch.most, ARGV[at + 4]) end
  if ttl == 0 then
    redis.call('DEL', batch.jobs .. id)
    return
  end
  local queue = group.queue
  enter_finished(batch, queue, put_receipt(batch, id, ttl, queue.name, ARGV[at + 2], meta or group.meta, old), id)
  add_result(batch, id, ttl, '1', 'return_value', ARGV[at + 3])
end

-- While it was being sent, an event told that SES has accepted it, in this attempt or an earlier one (resolve.lua):
-- however this one has ended, it was sent. Its result comes first, for only the hash has it.
local function write_told(batch, group, at, id, result)
  local old = redis.call('HMGET', batch.jobs .. id, 'status', EXECUTION_FIELD, 'created_at', 'enqueued_at', 'started_at',
    'description', 'result_ttl', KEY_FIELD, 'meta')
  local ttl, meta = receipt_ttl(batch, old), group.meta ~= '' and group.meta or old[9] or ''
  if batch.stream then
    local sent = { id = id .. ':' .. ARGV[at + 1], kind = 'sent', job_id = id, detail = { note = TOLD } }
    outcome(batch.stream, batch.most, cjson.encode(sent))
  end
  if ttl == 0 then
    redis.call('DEL', batch.jobs .. id)
    return
  end
  add_result(batch, id, ttl, '1', 'return_value', result)
  local queue = group.queue
  enter_finished(batch, queue, put_receipt(batch, id, ttl, queue.name, ARGV[at + 2], noted(meta, TOLD), old), id)
end

local function write_retry(batch, group, at, id)
  local due = string.format('%.6f', batch.now + ARGV[at + 3])
  redis.call('ZADD', registry(batch, group.queue, 'scheduled'), due, id)
  redis.call('HSET', batch.jobs .. id, 'status', 'scheduled', 'ended_at', ARGV[at + 2], 'worker_name', '', 'meta',
    group.meta, EXECUTION_FIELD, '-' .. ARGV[at + 1])
end

local function write_failed(batch, group, at, id)
  local job = batch.jobs .. id
  local given = redis.call('HGET', job, 'failure_ttl')
  local ttl = ttl_of(given, FAILURE_TTL)
  if batch.stream then outcome(batch.stream, batch.most, ARGV[at + 5]) end
  redis.call('ZADD', registry(batch, group.queue, 'failed'), until_score(batch, ttl), id)
  -- RQ can't read a job whose TTL is no whole number.
  if given and not string.match(given, '^-?%d+$') then redis.call('HSET', job, 'failure_ttl', ttl) end
  add_result(batch, id, ttl, '2', 'exc_string', ARGV[at + 4])
  redis.call('HSET', job, 'status', 'failed', 'ended_at', ARGV[at + 2], 'worker_name', '', 'meta', group.meta,
    'exc_info', ARGV[at + 3], EXECUTION_FIELD, '-' .. ARGV[at + 1])
  keep_failed(job, ttl)
end

local function write_back(batch, group, at, id)
  redis.call('LPUSH', group.queue.list, id)
  local fields = { 'status', 'queued', 'worker_name', '', EXECUTION_FIELD, '-' .. ARGV[at + 1] }
  if group.meta ~= '' then fields[#fields + 1], fields[#fields + 2] = 'meta', group.meta end
  if ARGV[at + 3] == '1' then fields[#fields + 1], fields[#fields + 2] = 'started_at', '' end
  redis.call('HSET', batch.jobs .. id, unpack(fields))
end
