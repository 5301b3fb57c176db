-- settle: write how executions ended, each only if its lease still stands. Settling twice changes nothing. (typed.lua;
-- FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the worker's hash   2, 3 scratch keys
--       then for each queue: its list, its started registry, its leases, its scheduled, finished, failed
--       and canceled registries
-- ARGV  1-4 prefixes of the keys of jobs, executions, a job's index of executions, results
--       5 worker name   6 field of a job's hash with the execution it is started by   7 the key field
--       8 seconds a key is remembered at least   9 default result_ttl   10 default failure_ttl
--       11 `data` of a receipt   12 seconds worked
--       then for each settlement: queue's place, id, execution, "1": only if the lease has run out (its worker
--       died), else only if the lease is held; when it ended (RQ's date form), meta (JSON text; "": the job's
--       stays as it is), and an action with two values of its own:
--         sent    result (as RQ's Result has it)
--         retry   seconds until it is due
--         failed  exc (a line), exc_string (as RQ's Result has it)
--         back    into the front of the queue; "1": as if it had never been claimed
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
-- A mail's new place is written first, then its hash changes and names the execution as over, and its lease goes last.
-- A receipt takes the hash's place, and then its own. So a mail stands somewhere wherever the script breaks off; and
-- what is settled again is only completed.

local job_prefix, execution_prefix, index_prefix, results_prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local worker_name, execution_field, key_field, key_memory = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local default_result_ttl, default_failure_ttl, receipt_data = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local FIRST, WIDTH, QUEUE = 13, 9, 7
-- Where the values of a settlement stand behind its queue's place.
local ID, EXECUTION, OVERDUE, ENDED, META, ACTION, OWN, OTHER = 1, 2, 3, 4, 5, 6, 7, 8
local RECEIPT, RESULT = KEYS[2], KEYS[3]
local args = ARGV
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

local function until_score(ttl) return ttl < 0 and '+inf' or string.format('%.6f', now + ttl) end

-- What a batch puts into a sorted set, or takes out of it, goes in one command: at most so many values as Lua hands over.
local SOME = 2000

local function some(values, at) return unpack(values, at, math.min(at + SOME - 1, #values)) end

local queues, queue_of = {}, {}
for at = 4, #KEYS, QUEUE do
  local queue = { list = KEYS[at], started = KEYS[at + 1], leases = KEYS[at + 2], scheduled = KEYS[at + 3],
    finished = KEYS[at + 4], failed = KEYS[at + 5], canceled = KEYS[at + 6],
    -- the batch's leases, and when they end; of those that are over: member, job, hash of the execution
    members = {}, ends = {}, over = {}, jobs = {}, hashes = {},
    -- scores and jobs that enter the finished registry, and the places of their settlements
    entering = {}, entered = {} }
  queue_of[tostring(#queues)] = queue
  queues[#queues + 1] = queue
end

local spoilt = false

-- Results and receipts are copies: a copy has the time to live of what it is made of, and a fresh stream would take
-- 4 KB in advance.
local result_ttl

local function add_result(id, ttl, kind, field, value)
  local key = results_prefix .. id
  if result_ttl ~= ttl then
    redis.call('DEL', RESULT)
    redis.call('XADD', RESULT, '*', 'worker_name', '', 'type', '', field, '')
    keep(RESULT, ttl)
    result_ttl = ttl
  end
  local most = redis.call('COPY', RESULT, key) == 1 and 1 or 10
  if not typed('XADD', key, 'MAXLEN', most, '*', 'worker_name', worker_name, 'type', kind, field, value) then
    spoilt = true
  end
  if most > 1 then keep(key, ttl) end
end

-- Values of at most 64 bytes keep a small hash in its small encoding.
local function short(text)
  if #text <= 64 then return text end
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '…'
end

local short_worker_name = short(worker_name)

-- What the receipt last made says, its key and its time to live: of the next only what differs is written.
local receipt, receipt_key, receipt_ttl = {}, nil, nil

local function make_receipt(ttl, ended, meta, old)
  local created, enqueued, started, origin, key = old[1] or ended, old[2] or '', old[3] or '', old[4] or '', old[7]
  local changed, n = {}, 0
  if receipt.created ~= created then changed[n + 1], changed[n + 2], n = 'created_at', created, n + 2 end
  if receipt.enqueued ~= enqueued then changed[n + 1], changed[n + 2], n = 'enqueued_at', enqueued, n + 2 end
  if receipt.started ~= started then changed[n + 1], changed[n + 2], n = 'started_at', started, n + 2 end
  if receipt.origin ~= origin then changed[n + 1], changed[n + 2], n = 'origin', origin, n + 2 end
  if key then changed[n + 1], changed[n + 2], n = key_field, key, n + 2 end
  if receipt_ttl ~= ttl then
    redis.call('HSET', RECEIPT, 'status', 'finished', 'worker_name', short_worker_name, 'data', receipt_data,
      'result_ttl', ttl)
    keep(RECEIPT, ttl)
  end
  redis.call('HSET', RECEIPT, 'ended_at', ended, 'description', short(old[5] or ''), 'meta', meta, unpack(changed))
  if receipt_key and not key then redis.call('HDEL', RECEIPT, key_field) end
  receipt.created, receipt.enqueued, receipt.started, receipt.origin = created, enqueued, started, origin
  receipt_key, receipt_ttl = key, ttl
end

local function enter(queue, ttl, id)
  if not typed('ZADD', queue, until_score(ttl), id) then spoilt = true end
end

-- The receipt takes the hash's place in one step: from then on the mail is never sent again.
local function write_sent(s, id, queue, old, meta)
  local job = job_prefix .. id
  local ttl = ttl_of(old[6], default_result_ttl)
  if old[7] and ttl >= 0 then ttl = math.max(ttl, key_memory) end
  succeeded = succeeded + 1
  if ttl == 0 then
    redis.call('DEL', job)
    return
  end
  meta = meta or args[s + META]
  make_receipt(ttl, args[s + ENDED], meta, old)
  local copied = type(redis.pcall('COPY', RECEIPT, job, 'REPLACE')) ~= 'table'
  -- Taking this right away must not keep what SES has from being recorded.
  if not copied then redis.call('RENAME', RECEIPT, job) end
  -- A hash that has been large stays so, and its copies with it.
  if not copied or #meta > 64 then
    redis.call('DEL', RECEIPT)
    receipt, receipt_key, receipt_ttl = {}, nil, nil
  end
  local n = #queue.entering
  queue.entering[n + 1], queue.entering[n + 2] = ttl < 0 and '+inf' or string.format('%d', math.ceil(now + ttl)), id
  queue.entered[#queue.entered + 1] = s
  add_result(id, ttl, '1', 'return_value', args[s + OWN])
end

local function write_retry(s, id, queue)
  redis.call('ZADD', queue.scheduled, string.format('%.6f', now + args[s + OWN]), id)
  redis.call('HSET', job_prefix .. id, 'status', 'scheduled', 'ended_at', args[s + ENDED], 'worker_name', '', 'meta',
    args[s + META], execution_field, '-' .. args[s + EXECUTION])
  retried = retried + 1
end

local function write_failed(s, id, queue)
  local job = job_prefix .. id
  local given = redis.call('HGET', job, 'failure_ttl')
  local ttl = ttl_of(given, default_failure_ttl)
  redis.call('ZADD', queue.failed, until_score(ttl), id)
  -- RQ can't read a job whose TTL is no whole number.
  if given and not string.match(given, '^-?%d+$') then redis.call('HSET', job, 'failure_ttl', ttl) end
  add_result(id, ttl, '2', 'exc_string', args[s + OTHER])
  redis.call('HSET', job, 'status', 'failed', 'ended_at', args[s + ENDED], 'worker_name', '', 'meta', args[s + META],
    'exc_info', args[s + OWN], execution_field, '-' .. args[s + EXECUTION])
  keep_failed(job, ttl)
  failed = failed + 1
end

local function write_back(s, id, queue)
  redis.call('LPUSH', queue.list, id)
  local fields = { 'status', 'queued', 'worker_name', '', execution_field, '-' .. args[s + EXECUTION] }
  if args[s + META] ~= '' then fields[#fields + 1], fields[#fields + 2] = 'meta', args[s + META] end
  if args[s + OWN] == '1' then fields[#fields + 1], fields[#fields + 2] = 'started_at', '' end
  redis.call('HSET', job_prefix .. id, unpack(fields))
end

local write = { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }
local status_after = { sent = 'finished', retry = 'scheduled', failed = 'failed', back = 'queued' }

-- Whether a started job is this execution's. One that names none was claimed by a build that kept a hash of each: it
-- was begun if that is there, or if an earlier try of such a build broke off without it. Where RQ has deleted an
-- execution, it has deleted the job: one made anew under its id is another mail.
local function is_ours(s, id, named, whole)
  if whole then return true end
  local index = index_prefix .. id
  return not string.match(named or '', '^[^-]') and (redis.call('EXISTS', index) == 0 or typed('ZSCORE', index, args[s + EXECUTION]))
end

-- Whether a job's newest result is one; a copy of what results are made of is none, and goes.
local function has_result(id)
  local key = results_prefix .. id
  local newest = typed('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if not newest then return true end
  if newest[1] and newest[1][2][4] ~= '' then return true end
  redis.call('DEL', key)
  return false
end

-- An earlier try of this settlement may have broken off behind the change of its status.
local function complete(s, id, queue, status)
  local job = job_prefix .. id
  local ttl = redis.call('TTL', job)
  if status == 'finished' then
    enter(queue.finished, ttl, id)
    if args[s + ACTION] == 'sent' and not has_result(id) then
      add_result(id, ttl, '1', 'return_value', args[s + OWN])
    end
  elseif status == 'failed' then
    if ttl < 0 then
      ttl = ttl_of(redis.call('HGET', job, 'failure_ttl'), default_failure_ttl)
    else
      ttl = math.max(0, ttl - FAILED_GRACE)
    end
    enter(queue.failed, ttl, id)
    keep_failed(job, ttl)
  end
end

-- SES has a mail that isn't started, by what its worker says late, or because it was canceled or requeued meanwhile.
local function write_late(s, id, queue, status, old)
  if status == 'canceled' or status == 'stopped' then
    local meta, note = args[s + META], '"note": "SES accepted it: it was ' .. status .. ' while it was being sent"}'
    write_sent(s, id, queue, old, (string.gsub(meta, '}$', (meta == '{}' and '' or ', ') .. note)))
    typed('ZREM', queue.canceled, id)
    typed('ZREM', queue.failed, id)
    return 'accepted'
  end
  local waiting = (status == 'queued' and typed('LPOS', queue.list, id))
    or (status == 'scheduled' and typed('ZSCORE', queue.scheduled, id))
    or (status == 'failed' and typed('ZSCORE', queue.failed, id))
  if not waiting then return 'lost' end
  write_sent(s, id, queue, old)
  if status == 'queued' then redis.call('LREM', queue.list, 1, id) end
  if status == 'scheduled' then redis.call('ZREM', queue.scheduled, id) end
  if status == 'failed' then redis.call('ZREM', queue.failed, id) end
  return 'late'
end

local function write_canceled(s, id)
  local fields = { 'ended_at', args[s + ENDED] }
  if args[s + META] ~= '' then fields[3], fields[4] = 'meta', args[s + META] end
  redis.call('HSET', job_prefix .. id, unpack(fields))
  return 'canceled'
end

-- What becomes of one that isn't started any more, or not by this execution; `held`: its lease stands.
local function contested(s, id, queue, held, whole, status, named, old)
  local action = args[s + ACTION]
  local ours = named == '-' .. args[s + EXECUTION] or action == 'sent'
  if held and ours and status == status_after[action] then
    complete(s, id, queue, status)
    return 'done'
  end
  if held and not whole and action ~= 'sent' then
    if status == 'finished' or status == 'failed' then complete(s, id, queue, status) end
    return 'vanished'
  end
  if action == 'sent' then
    -- A mail that nobody has claimed yet is another one under the same key. (Without a key an id is never used again.)
    local key, fresh = old[7], (old[3] or '') == ''
    if held and not whole and (fresh or status == 'started') then return 'vanished' end
    if not held and key and fresh then return 'lost' end
    return write_late(s, id, queue, status, old)
  end
  if status == 'canceled' then return write_canceled(s, id) end
  return 'lost'
end

local function read(id, action)
  if action == 'sent' then
    local old = typed('HMGET', job_prefix .. id, 'created_at', 'enqueued_at', 'started_at', 'origin', 'description',
      'result_ttl', key_field, 'status', execution_field)
    return old and old[8], old and old[9], old
  end
  local hash = typed('HMGET', job_prefix .. id, 'status', execution_field)
  return hash and hash[1], hash and hash[2]
end

-- s: where a settlement stands among the arguments; number: which of its queue's it is.
local function settle(s, queue, number)
  if not queue.ends then error('WRONGTYPE ' .. queue.leases .. ' is not of its type', 0) end
  local id, action, lease = args[s + ID], args[s + ACTION], queue.ends[number]
  local held = lease and (args[s + OVERDUE] ~= '1' or tonumber(lease) <= now)
  if not held and action ~= 'sent' then return 'lost' end

  local status, named, old = read(id, action)
  local member = queue.members[number]
  local hash = execution_prefix .. member
  local whole = held and (named == args[s + EXECUTION] or redis.call('EXISTS', hash) == 1)
  local word = 'vanished'
  spoilt = false
  if held and status == 'started' and is_ours(s, id, named, whole) then
    write[action](s, id, queue, old)
    word = 'done'
  elseif status then
    word = contested(s, id, queue, held, whole, status, named, old)
  end
  if held then
    local n = #queue.over + 1
    queue.over[n], queue.jobs[n], queue.hashes[n] = member, id, hash
  end
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
redis.call('DEL', RECEIPT, RESULT)
local words, refusal = {}, nil
for s = FIRST, #args, WIDTH do
  local members = queue_of[args[s]].members
  members[#members + 1] = args[s + ID] .. ':' .. args[s + EXECUTION]
end
for _, queue in ipairs(queues) do
  for at = 1, #queue.members, SOME do
    local ends = typed('ZMSCORE', queue.leases, some(queue.members, at))
    if not ends then
      queue.ends = nil
      break
    end
    for i, score in ipairs(ends) do queue.ends[at + i - 1] = score end
  end
end

local numbers = {}
for s = FIRST, #args, WIDTH do
  local queue = queue_of[args[s]]
  numbers[queue] = (numbers[queue] or 0) + 1
  local fine, word = pcall(settle, s, queue, numbers[queue])
  if not fine then
    local reason = type(word) == 'table' and word.err or tostring(word)
    if refused(reason) then refusal = reason end
    redis.call('DEL', RECEIPT, RESULT)
    receipt, receipt_key, receipt_ttl, result_ttl = {}, nil, nil, nil
    word = 'broken'
  end
  words[#words + 1] = word
end

local function enter_all(queue)
  for at = 1, #queue.entering, SOME do
    if not typed('ZADD', queue.finished, some(queue.entering, at)) then
      for _, s in ipairs(queue.entered) do words[(s - FIRST) / WIDTH + 1] = 'broken' end
    end
  end
end

-- RQ's record of an execution is there only if its lease was renewed.
local function forget(queue)
  local gone = 0
  for at = 1, #queue.hashes, SOME do gone = gone + redis.call('DEL', some(queue.hashes, at)) end
  for n, id in ipairs(gone > 0 and queue.jobs or {}) do
    typed('ZREM', index_prefix .. id, string.sub(queue.over[n], #id + 2))
  end
end

local function drop(registry, members)
  for at = 1, #members, SOME do typed('ZREM', registry, some(members, at)) end
end

redis.call('DEL', RECEIPT, RESULT)
for _, queue in ipairs(queues) do
  enter_all(queue)
  forget(queue)
  drop(queue.started, queue.over)
  drop(queue.leases, queue.over)
end

-- Counting into a hash that has expired would bring it back without its TTL. It is for show: all is written.
local counts = redis.pcall('HMGET', KEYS[1], 'birth', 'successful_job_count', 'failed_job_count', 'total_working_time')
if counts[1] and succeeded + failed + retried > 0 then
  local function more(place, by) return (tonumber(counts[place] or '') or 0) + by end
  redis.pcall('HSET', KEYS[1], 'successful_job_count', more(2, succeeded), 'failed_job_count', more(3, failed),
    'total_working_time', string.format('%.6f', more(4, tonumber(args[12]))))
  if retried > 0 then redis.pcall('HINCRBY', KEYS[1], 'rq_ses_retried', retried) end
end
if refusal then return redis.error_reply(refusal) end
return words
