-- settle: write how executions ended, each only if its lease still stands. Settling twice changes nothing.
--
-- KEYS  1 the worker's hash   2 a scratch key
--       then for each queue: its list, its started registry, its leases, its scheduled, finished and failed
--       registries
-- ARGV  1-4 prefixes of the keys of jobs, executions, a job's index of executions, results
--       5 worker name   6 the key field   7 seconds a key is remembered at least   8 default result_ttl
--       9 default failure_ttl   10 `data` of a receipt   11 seconds worked
--       12 JSON list of settlements: q queue's place, id, x execution, ended (RQ's date form), meta (JSON
--       text; without it the job's stays as it is), and the action a:
--         sent    result (as RQ's Result has it)
--         retry   delay, s from the end of the attempt; age, s since then
--         failed  exc (a line), exc_string (as RQ's Result has it)
--         back    into the front of the queue; fresh = 1: as if it had never been claimed
--       overdue = 1: only if the lease has run out (its worker died); else only if the lease is held
-- Reply one word a settlement:
--       done      written
--       late      its lease had gone, but nobody had started the mail again: "sent" was written
--       lost      its lease had gone: another has taken the mail, or it was settled before; nothing written
--       canceled  canceled while it was being sent; it stays canceled, its meta and result tell the outcome
--       vanished  its hash is gone (deleted while it was being sent)
--       broken    one of its keys isn't of RQ's type; what could be written was. One that wasn't sent keeps
--                 its lease, and is reclaimed when that runs out

local job_prefix, execution_prefix, index_prefix, results_prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local worker_name, key_field, key_memory = ARGV[5], ARGV[6], tonumber(ARGV[7])
local default_result_ttl, default_failure_ttl, receipt_data = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local succeeded, failed, retried = 0, 0, 0

local function keep(key, ttl)
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
end

-- A TTL that EXPIRE refuses would break off the script.
local function ttl_of(text, default)
  local ttl = tonumber(text or '')
  if not ttl or ttl ~= ttl or ttl > 1e10 then return default end
  return math.max(-1, math.floor(ttl))
end

local function until_score(ttl)
  return ttl < 0 and '+inf' or string.format('%.6f', now + ttl)
end

-- A fresh stream takes 4 KB in advance; a copy of it takes what it holds.
local function add_result(id, ttl, ...)
  local key = results_prefix .. id
  if redis.call('EXISTS', key) == 1 then
    redis.call('XADD', key, 'MAXLEN', 10, '*', 'worker_name', worker_name, ...)
  else
    redis.call('XADD', KEYS[2], '*', 'worker_name', worker_name, ...)
    redis.call('COPY', KEYS[2], key)
    redis.call('DEL', KEYS[2])
  end
  keep(key, ttl)
end

-- Values of at most 64 bytes keep a small hash in its small encoding.
local function short(text)
  if #text <= 64 then return text end
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '…'
end

local function write_sent(s, queue)
  local job = job_prefix .. s.id
  local old = redis.call('HMGET', job, 'created_at', 'enqueued_at', 'started_at', 'origin', 'description',
    'result_ttl', key_field)
  local ttl = ttl_of(old[6], default_result_ttl)
  if old[7] and ttl >= 0 then ttl = math.max(ttl, key_memory) end
  succeeded = succeeded + 1
  redis.call('DEL', job)
  if ttl == 0 then return end
  redis.call('HSET', job, 'status', 'finished', 'created_at', old[1] or s.ended, 'enqueued_at', old[2] or '',
    'started_at', old[3] or '', 'ended_at', s.ended, 'origin', old[4] or '', 'description', short(old[5] or ''),
    'worker_name', short(worker_name), 'data', receipt_data, 'meta', s.meta, 'result_ttl', ttl)
  if old[7] then redis.call('HSET', job, key_field, old[7]) end
  keep(job, ttl)
  redis.call('ZADD', queue.finished, until_score(ttl), s.id)
  add_result(s.id, ttl, 'type', 1, 'return_value', s.result)
end

local function write_retry(s, queue)
  retried = retried + 1
  redis.call('ZADD', queue.scheduled, string.format('%.6f', now + math.max(0, s.delay - s.age)), s.id)
  redis.call('HSET', job_prefix .. s.id, 'status', 'scheduled', 'ended_at', s.ended, 'worker_name', '', 'meta', s.meta)
end

local function write_failed(s, queue)
  local job = job_prefix .. s.id
  local given = redis.call('HGET', job, 'failure_ttl')
  local ttl = ttl_of(given, default_failure_ttl)
  -- RQ can't read a job whose TTL is no whole number.
  if given and not string.match(given, '^-?%d+$') then redis.call('HSET', job, 'failure_ttl', ttl) end
  redis.call('ZADD', queue.failed, until_score(ttl), s.id)
  failed = failed + 1
  redis.call('HSET', job, 'status', 'failed', 'ended_at', s.ended, 'worker_name', '', 'meta', s.meta, 'exc_info', s.exc)
  keep(job, ttl)
  add_result(s.id, ttl, 'type', 2, 'exc_string', s.exc_string)
end

local function write_back(s, queue)
  local job = job_prefix .. s.id
  redis.call('LPUSH', queue.list, s.id)
  redis.call('HSET', job, 'status', 'queued', 'worker_name', '')
  if s.meta then redis.call('HSET', job, 'meta', s.meta) end
  if s.fresh == 1 then redis.call('HSET', job, 'started_at', '') end
end

local write = { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }

local function release(s, queue, member)
  redis.call('ZREM', queue.leases, member)
  redis.call('ZREM', queue.started, member)
  redis.call('DEL', execution_prefix .. member)
  redis.call('ZREM', index_prefix .. s.id, s.x)
end

local function settle(s)
  local at = 3 + s.q * 6
  local queue = { list = KEYS[at], started = KEYS[at + 1], leases = KEYS[at + 2], scheduled = KEYS[at + 3],
    finished = KEYS[at + 4], failed = KEYS[at + 5] }
  local member = s.id .. ':' .. s.x
  local lease = redis.call('ZSCORE', queue.leases, member)
  local held = lease and (s.overdue ~= 1 or tonumber(lease) <= now)
  if not held and s.a ~= 'sent' then return 'lost' end

  local status = redis.pcall('HGET', job_prefix .. s.id, 'status')
  -- Where RQ has deleted the execution, it has deleted the job: one made anew under its id is another mail.
  local same = not held or redis.call('EXISTS', execution_prefix .. member) == 1
  if held and status == 'started' and (same or redis.call('EXISTS', index_prefix .. s.id) == 0) then
    -- What SES has must not be sent again, whatever becomes of the rest; what it hasn't must not be lost.
    if s.a == 'sent' then release(s, queue, member) end
    write[s.a](s, queue)
    if s.a ~= 'sent' then release(s, queue, member) end
    return 'done'
  end
  if held then release(s, queue, member) end
  if type(status) ~= 'string' or not same then return 'vanished' end
  if status == 'canceled' then
    local meta = s.meta
    if s.a == 'sent' then
      meta = string.gsub(meta, '}$', ', "note": "SES accepted it: it was canceled while it was being sent"}')
      add_result(s.id, default_failure_ttl, 'type', 1, 'return_value', s.result)
    end
    redis.call('HSET', job_prefix .. s.id, 'ended_at', s.ended)
    if meta then redis.call('HSET', job_prefix .. s.id, 'meta', meta) end
    return 'canceled'
  end
  if s.a == 'sent' then
    -- So is one under the same key that nobody has claimed yet. (Without a key an id is never used again.)
    local started_at, key = unpack(redis.call('HMGET', job_prefix .. s.id, 'started_at', key_field))
    if key and not held and (started_at or '') == '' then return 'lost' end
    local waiting = (status == 'queued' and redis.call('LREM', queue.list, 1, s.id) == 1)
      or (status == 'scheduled' and redis.call('ZREM', queue.scheduled, s.id) == 1)
      or (status == 'failed' and redis.call('ZREM', queue.failed, s.id) == 1)
    if waiting then
      write_sent(s, queue)
      return 'late'
    end
  end
  return 'lost'
end

-- One job whose keys somebody has spoilt must not keep its batch from being settled; a server that takes no
-- writes says so at the first one, and the batch is tried again.
local function refused(reason)
  for _, code in ipairs({ 'OOM ', 'READONLY ', 'MISCONF ', 'NOREPLICAS ', 'NOPERM ' }) do
    if string.find(reason, code, 1, true) then return true end
  end
  return false
end

local words = {}
for _, s in ipairs(cjson.decode(ARGV[12])) do
  local fine, word = pcall(settle, s)
  if not fine then
    local reason = type(word) == 'table' and word.err or tostring(word)
    if refused(reason) then return redis.error_reply(reason) end
    word = 'broken'
  end
  words[#words + 1] = word
end

-- Counting into a hash that has expired would bring it back without its TTL.
if succeeded + failed + retried > 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'successful_job_count', succeeded)
  redis.call('HINCRBY', KEYS[1], 'failed_job_count', failed)
  if retried > 0 then redis.pcall('HINCRBY', KEYS[1], 'rq_ses_retried', retried) end
  redis.call('HINCRBYFLOAT', KEYS[1], 'total_working_time', ARGV[11])
end
return words
