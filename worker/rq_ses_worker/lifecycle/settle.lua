-- settle: write how executions ended, each only if its lease still stands. Settling twice changes nothing. (typed.lua;
-- FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the worker's hash   2 a scratch key
--       then for each queue: its list, its started registry, its leases, its scheduled, finished, failed
--       and canceled registries
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
--       canceled  canceled while it was being sent; it stays canceled, its meta tells the outcome
--       accepted  canceled while it was being sent, but SES has it: "sent" was written, with a note in its meta
--       vanished  its hash is gone (deleted while it was being sent)
--       broken    one of its keys isn't of RQ's type; what could be written was. One that has no place to go to
--                 keeps its lease, and is reclaimed when that runs out
--
-- A mail's new place is written first, then its execution is forgotten, then its hash changes, and its lease goes last.
-- So it stands somewhere wherever the script breaks off; and a lease without an execution whose mail has another
-- status, or another execution, is only ended.

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

-- RQ's requeue leaves the time to live on a job: it must not end before anybody has looked.
local function keep_failed(job, ttl) keep(job, ttl < 0 and ttl or ttl + FAILED_GRACE) end

local function until_score(ttl)
  return ttl < 0 and '+inf' or string.format('%.6f', now + ttl)
end

local spoilt = false

-- A fresh stream takes 4 KB in advance; a copy of it takes what it holds. It is for show: it keeps nothing from being
-- settled.
local function add_result(id, ttl, ...)
  local key = results_prefix .. id
  redis.call('XADD', KEYS[2], '*', 'worker_name', worker_name, ...)
  local fresh = redis.call('COPY', KEYS[2], key) == 1
  redis.call('DEL', KEYS[2])
  if not fresh and not typed('XADD', key, 'MAXLEN', 10, '*', 'worker_name', worker_name, ...) then spoilt = true end
  keep(key, ttl)
end

-- Values of at most 64 bytes keep a small hash in its small encoding.
local function short(text)
  if #text <= 64 then return text end
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '…'
end

local function forget(s)
  redis.call('DEL', execution_prefix .. s.id .. ':' .. s.x)
  typed('ZREM', index_prefix .. s.id, s.x)
end

-- Members of the started registries and of the leases that go when the batch is written, by their keys.
local over = {}

local function release(s, queue)
  for _, key in ipairs({ queue.started, queue.leases }) do
    over[key] = over[key] or {}
    over[key][#over[key] + 1] = s.id .. ':' .. s.x
  end
end

local function enter(registry, ttl, id)
  if not typed('ZADD', registry, until_score(ttl), id) then spoilt = true end
end

-- The receipt takes the hash's place in one step: from then on the mail is never sent again.
local function write_sent(s, queue, old, meta)
  local job = job_prefix .. s.id
  local ttl = ttl_of(old[6], default_result_ttl)
  if old[7] and ttl >= 0 then ttl = math.max(ttl, key_memory) end
  succeeded = succeeded + 1
  if ttl == 0 then
    forget(s)
    redis.call('DEL', job)
    return
  end
  redis.call('HSET', KEYS[2], 'status', 'finished', 'created_at', old[1] or s.ended, 'enqueued_at', old[2] or '',
    'started_at', old[3] or '', 'ended_at', s.ended, 'origin', old[4] or '', 'description', short(old[5] or ''),
    'worker_name', short(worker_name), 'data', receipt_data, 'meta', meta or s.meta, 'result_ttl', ttl)
  if old[7] then redis.call('HSET', KEYS[2], key_field, old[7]) end
  if ttl > 0 then redis.call('EXPIRE', KEYS[2], ttl) end
  forget(s)
  redis.call('RENAME', KEYS[2], job)
  enter(queue.finished, ttl, s.id)
  add_result(s.id, ttl, 'type', 1, 'return_value', s.result)
end

local function write_retry(s, queue)
  redis.call('ZADD', queue.scheduled, string.format('%.6f', now + math.max(0, s.delay - s.age)), s.id)
  forget(s)
  redis.call('HSET', job_prefix .. s.id, 'status', 'scheduled', 'ended_at', s.ended, 'worker_name', '', 'meta', s.meta)
  retried = retried + 1
end

local function write_failed(s, queue)
  local job = job_prefix .. s.id
  local given = redis.call('HGET', job, 'failure_ttl')
  local ttl = ttl_of(given, default_failure_ttl)
  redis.call('ZADD', queue.failed, until_score(ttl), s.id)
  -- RQ can't read a job whose TTL is no whole number.
  if given and not string.match(given, '^-?%d+$') then redis.call('HSET', job, 'failure_ttl', ttl) end
  add_result(s.id, ttl, 'type', 2, 'exc_string', s.exc_string)
  forget(s)
  redis.call('HSET', job, 'status', 'failed', 'ended_at', s.ended, 'worker_name', '', 'meta', s.meta, 'exc_info', s.exc)
  keep_failed(job, ttl)
  failed = failed + 1
end

local function write_back(s, queue)
  local job = job_prefix .. s.id
  redis.call('LPUSH', queue.list, s.id)
  forget(s)
  local fields = { 'status', 'queued', 'worker_name', '' }
  if s.meta then fields[#fields + 1], fields[#fields + 2] = 'meta', s.meta end
  if s.fresh == 1 then fields[#fields + 1], fields[#fields + 2] = 'started_at', '' end
  redis.call('HSET', job, unpack(fields))
end

local write = { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }
local status_after = { sent = 'finished', retry = 'scheduled', failed = 'failed', back = 'queued' }

-- Whether a job that is started is this execution's: its hash is there, or an earlier try of settle, or of claim,
-- broke off without it. Where RQ has deleted the execution, it has deleted the job: one made anew under its id is
-- another mail, with an execution of its own.
local function is_ours(s, whole)
  local index = index_prefix .. s.id
  return whole or redis.call('EXISTS', index) == 0 or typed('ZSCORE', index, s.x)
end

-- An earlier try of this settlement may have broken off behind the change of its status.
local function complete(s, queue, status)
  local job = job_prefix .. s.id
  local ttl = redis.call('TTL', job)
  if status == 'finished' then
    enter(queue.finished, ttl, s.id)
    if s.a == 'sent' and redis.call('EXISTS', results_prefix .. s.id) == 0 then
      add_result(s.id, ttl, 'type', 1, 'return_value', s.result)
    end
  elseif status == 'failed' then
    if ttl < 0 then
      ttl = ttl_of(redis.call('HGET', job, 'failure_ttl'), default_failure_ttl)
    else
      ttl = math.max(0, ttl - FAILED_GRACE)
    end
    enter(queue.failed, ttl, s.id)
    keep_failed(job, ttl)
  end
end

-- SES has a mail that isn't started, by what its worker says late, or because it was canceled or requeued meanwhile.
local function write_late(s, queue, status, old)
  if status == 'canceled' or status == 'stopped' then
    local note = '"note": "SES accepted it: it was ' .. status .. ' while it was being sent"}'
    write_sent(s, queue, old, (string.gsub(s.meta, '}$', (s.meta == '{}' and '' or ', ') .. note)))
    typed('ZREM', queue.canceled, s.id)
    typed('ZREM', queue.failed, s.id)
    return 'accepted'
  end
  local waiting = (status == 'queued' and typed('LPOS', queue.list, s.id))
    or (status == 'scheduled' and typed('ZSCORE', queue.scheduled, s.id))
    or (status == 'failed' and typed('ZSCORE', queue.failed, s.id))
  if not waiting then return 'lost' end
  write_sent(s, queue, old)
  if status == 'queued' then redis.call('LREM', queue.list, 1, s.id) end
  if status == 'scheduled' then redis.call('ZREM', queue.scheduled, s.id) end
  if status == 'failed' then redis.call('ZREM', queue.failed, s.id) end
  return 'late'
end

local function write_canceled(s)
  local fields = { 'ended_at', s.ended }
  if s.meta then fields[3], fields[4] = 'meta', s.meta end
  redis.call('HSET', job_prefix .. s.id, unpack(fields))
  return 'canceled'
end

-- What becomes of one that isn't started any more, or not by this execution; `held`: its lease stands.
local function contested(s, queue, held, whole, status, old)
  if held and not whole and status == status_after[s.a] then
    complete(s, queue, status)
    return 'done'
  end
  if held and not whole and s.a ~= 'sent' then
    if status == 'finished' or status == 'failed' then complete(s, queue, status) end
    return 'vanished'
  end
  if s.a == 'sent' then
    -- A mail that nobody has claimed yet is another one under the same key. (Without a key an id is never used again.)
    local key, fresh = old[7], (old[3] or '') == ''
    if held and not whole and (fresh or status == 'started') then return 'vanished' end
    if not held and key and fresh then return 'lost' end
    return write_late(s, queue, status, old)
  end
  if status == 'canceled' then return write_canceled(s) end
  return 'lost'
end

local function settle(s)
  local at = 3 + s.q * 7
  local queue = { list = KEYS[at], started = KEYS[at + 1], leases = KEYS[at + 2], scheduled = KEYS[at + 3],
    finished = KEYS[at + 4], failed = KEYS[at + 5], canceled = KEYS[at + 6] }
  local member = s.id .. ':' .. s.x
  local lease = redis.call('ZSCORE', queue.leases, member)
  local held = lease and (s.overdue ~= 1 or tonumber(lease) <= now)
  if not held and s.a ~= 'sent' then return 'lost' end

  local status, old
  if s.a == 'sent' then
    old = typed('HMGET', job_prefix .. s.id, 'created_at', 'enqueued_at', 'started_at', 'origin', 'description',
      'result_ttl', key_field, 'status')
    status = old and old[8]
  else
    status = typed('HGET', job_prefix .. s.id, 'status')
  end
  local whole = held and redis.call('EXISTS', execution_prefix .. member) == 1
  local word = 'vanished'
  spoilt = false
  if held and status == 'started' and is_ours(s, whole) then
    write[s.a](s, queue, old)
    word = 'done'
  elseif status then
    word = contested(s, queue, held, whole, status, old)
    if held then forget(s) end
  elseif held then
    forget(s)
  end
  if held then release(s, queue) end
  return spoilt and 'broken' or word
end

-- One job whose keys somebody has spoilt must not keep its batch from being settled. What the server refuses to all is
-- an error, and the batch is tried again: but first each is written as far as it can be, for a mail whose receipt could
-- be written isn't sent again.
local REFUSALS = { 'OOM ', 'READONLY ', 'MISCONF ', 'NOREPLICAS ', 'NOPERM ', 'ACL failure in script',
  "The user executing the script can't" }

local function refused(reason)
  for _, mark in ipairs(REFUSALS) do
    if string.find(reason, mark, 1, true) then return true end
  end
  return false
end

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[2])
local words, refusal = {}, nil
for _, s in ipairs(cjson.decode(ARGV[12])) do
  local fine, word = pcall(settle, s)
  if not fine then
    local reason = type(word) == 'table' and word.err or tostring(word)
    if refused(reason) then refusal = reason end
    redis.call('DEL', KEYS[2])
    word = 'broken'
  end
  words[#words + 1] = word
end

local function drop(registry)
  local members = over[registry] or {}
  for at = 1, #members, 1000 do typed('ZREM', registry, unpack(members, at, math.min(at + 999, #members))) end
end

for at = 3, #KEYS, 7 do
  drop(KEYS[at + 1])
  drop(KEYS[at + 2])
end

-- Counting into a hash that has expired would bring it back without its TTL. It is for show: all is written.
if succeeded + failed + retried > 0 and redis.pcall('EXISTS', KEYS[1]) == 1 then
  redis.pcall('HINCRBY', KEYS[1], 'successful_job_count', succeeded)
  redis.pcall('HINCRBY', KEYS[1], 'failed_job_count', failed)
  if retried > 0 then redis.pcall('HINCRBY', KEYS[1], 'rq_ses_retried', retried) end
  redis.pcall('HINCRBYFLOAT', KEYS[1], 'total_working_time', ARGV[11])
end
if refusal then return redis.error_reply(refusal) end
return words
