-- receipt: what is left of a mail that is settled, and how a batch writes it; put in front of settle. (typed.lua;
-- FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS[2] and KEYS[3] are scratch keys of settle.lua, ARGV is its own. What a batch has in hand stands in one table
-- that functions are given: every local that one captures would cost each call, and batches are small.

local function keep(key, ttl)
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
end

-- A TTL that EXPIRE refuses would break off the script.
local function ttl_of(text, default)
  local ttl = tonumber(text or '')
  if not ttl or ttl ~= ttl or ttl > 1e10 then return tonumber(default) end
  return math.max(-1, math.floor(ttl))
end

-- RQ's requeue leaves the time to live on a job: it must not end before anybody has looked.
local function keep_failed(job, ttl) keep(job, ttl < 0 and ttl or ttl + FAILED_GRACE) end

local function until_score(batch, ttl) return ttl < 0 and '+inf' or string.format('%.6f', batch.now + ttl) end

-- Values of at most 64 bytes keep a small hash in its small encoding.
local function short(text)
  if #text <= 64 then return text end
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '…'
end

-- Results and receipts are copies: a copy has the time to live of what it is made of, and a fresh stream would take
-- 4 KB in advance.
local function add_result(batch, id, ttl, kind, field, value)
  local key = ARGV[4] .. id
  if batch.result_ttl ~= ttl then
    if batch.result_ttl then redis.call('DEL', KEYS[3]) end
    redis.call('XADD', KEYS[3], '*', 'worker_name', '', 'type', '', field, '')
    keep(KEYS[3], ttl)
    batch.result_ttl = ttl
  end
  local most = redis.call('COPY', KEYS[3], key) == 1 and 1 or 10
  if not typed('XADD', key, 'MAXLEN', most, '*', 'worker_name', ARGV[5], 'type', kind, field, value) then
    batch.spoilt = true
  end
  if most > 1 then keep(key, ttl) end
end

-- The receipt last made says, but for its key, what the next one says, too: only what differs is written.
-- old: status, execution, created_at, enqueued_at, started_at, origin, description, result_ttl and key of the job.
local function make_receipt(batch, ttl, ended, meta, old)
  local made, created, enqueued, started, origin, key = batch.made, old[3] or ended, old[4] or '', old[5] or '',
    old[6] or '', old[9]
  local changed, n = {}, 0
  if made.ttl ~= ttl then
    changed = { 'status', 'finished', 'worker_name', short(ARGV[5]), 'data', ARGV[11], 'result_ttl', ttl }
    n = 8
  end
  if made.created ~= created then changed[n + 1], changed[n + 2], n = 'created_at', created, n + 2 end
  if made.enqueued ~= enqueued then changed[n + 1], changed[n + 2], n = 'enqueued_at', enqueued, n + 2 end
  if made.started ~= started then changed[n + 1], changed[n + 2], n = 'started_at', started, n + 2 end
  if made.origin ~= origin then changed[n + 1], changed[n + 2], n = 'origin', origin, n + 2 end
  if made.meta ~= meta then changed[n + 1], changed[n + 2], n = 'meta', meta, n + 2 end
  if key then changed[n + 1], changed[n + 2], n = ARGV[7], key, n + 2 end
  redis.call('HSET', KEYS[2], 'ended_at', ended, 'description', short(old[7] or ''), unpack(changed))
  if made.key and not key then redis.call('HDEL', KEYS[2], ARGV[7]) end
  if made.ttl ~= ttl then
    keep(KEYS[2], ttl)
    made.ttl, made.score = ttl, ttl < 0 and '+inf' or string.format('%d', math.ceil(batch.now + ttl))
  end
  made.created, made.enqueued, made.started, made.origin = created, enqueued, started, origin
  made.meta, made.key = meta, key
end

-- The receipt takes the hash's place in one step: from then on the mail is never sent again.
local function write_sent(batch, group, at, id, old, meta)
  local job = ARGV[1] .. id
  local ttl = ttl_of(old[8], ARGV[9])
  if old[9] and ttl >= 0 then ttl = math.max(ttl, tonumber(ARGV[8])) end
  batch.succeeded = batch.succeeded + 1
  if ttl == 0 then
    redis.call('DEL', job)
    return
  end
  meta = meta or group.meta
  make_receipt(batch, ttl, ARGV[at + 2], meta, old)
  local score, copied = batch.made.score, type(redis.pcall('COPY', KEYS[2], job, 'REPLACE')) ~= 'table'
  -- Taking this right away must not keep what SES has from being recorded.
  if not copied then redis.call('RENAME', KEYS[2], job) end
  -- A hash that has been large stays so, and its copies with it.
  if not copied or #meta > 64 then
    redis.call('DEL', KEYS[2])
    batch.made = {}
  end
  local queue = group.queue
  local n = #queue.entering
  queue.entering[n + 1], queue.entering[n + 2] = score, id
  queue.entered[#queue.entered + 1] = #batch.words + 1
  add_result(batch, id, ttl, '1', 'return_value', ARGV[at + 3])
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
