-- finish: what is left of a mail that was sent, its receipt and RQ's result; put in front of scripts that write it.
-- (typed.lua)
--
-- batch is what such a script has in hand, for every local that a function captures would cost each call:
--   now              the server's time (epoch seconds)
--   jobs, results    prefixes of keys
--   scratch, result_scratch   scratch keys: receipts and results are copies of what is built there
--   worker           its name
--   key_field, key_memory     contract.KEY_FIELD, KEY_MEMORY
--   default_ttl      seconds for which a receipt is kept where the job doesn't say
--   receipt          `data` of a receipt
--   made             an empty table: what the receipt last made says
--   spoilt           becomes true where a key isn't of RQ's type
-- old is what HMGET has of a job by FINISH: status, execution, created_at, enqueued_at, started_at, origin,
--   description, result_ttl and key

-- What the meta of a mail says that such a word has finished
local TOLD = "told by SES's event"

local function keep(key, ttl)
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
end

-- A TTL that EXPIRE refuses would break off the script.
local function ttl_of(text, default)
  local ttl = tonumber(text or '')
  if not ttl or ttl ~= ttl or ttl > 1e10 then return tonumber(default) end
  return math.max(-1, math.floor(ttl))
end

local function until_score(batch, ttl) return ttl < 0 and '+inf' or string.format('%.6f', batch.now + ttl) end

-- Values of at most 64 bytes keep a small hash in its small encoding.
local function short(text)
  if #text <= 64 then return text end
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '…'
end

-- What a job has been told of how it ended, behind what its meta (JSON) says.
local function noted(meta, note)
  local said = string.match(meta, '^%s*{%s*(.-)%s*}%s*$') or ''
  return '{' .. said .. (said == '' and '' or ', ') .. '"note": "' .. note .. '"}'
end

-- Results and receipts are copies: a copy has the time to live of what it is made of, and a fresh stream would take
-- 4 KB in advance.
local function add_result(batch, id, ttl, kind, field, value)
  local key = batch.results .. id
  if batch.result_ttl ~= ttl then
    if batch.result_ttl then redis.call('DEL', batch.result_scratch) end
    redis.call('XADD', batch.result_scratch, '*', 'worker_name', '', 'type', '', field, '')
    keep(batch.result_scratch, ttl)
    batch.result_ttl = ttl
  end
  local most = redis.call('COPY', batch.result_scratch, key) == 1 and 1 or 10
  if not typed('XADD', key, 'MAXLEN', most, '*', 'worker_name', batch.worker, 'type', kind, field, value) then
    batch.spoilt = true
  end
  if most > 1 then keep(key, ttl) end
end

-- The receipt last made says, but for its key, what the next one says, too: only what differs is written.
local function make_receipt(batch, ttl, ended, meta, old)
  local made, created, enqueued, started, origin, key = batch.made, old[3] or ended, old[4] or '', old[5] or '',
    old[6] or '', old[9]
  local changed, n = {}, 0
  if made.ttl ~= ttl then
    changed = { 'status', 'finished', 'worker_name', short(batch.worker), 'data', batch.receipt, 'result_ttl', ttl }
    n = 8
  end
  if made.created ~= created then changed[n + 1], changed[n + 2], n = 'created_at', created, n + 2 end
  if made.enqueued ~= enqueued then changed[n + 1], changed[n + 2], n = 'enqueued_at', enqueued, n + 2 end
  if made.started ~= started then changed[n + 1], changed[n + 2], n = 'started_at', started, n + 2 end
  if made.origin ~= origin then changed[n + 1], changed[n + 2], n = 'origin', origin, n + 2 end
  if made.meta ~= meta then changed[n + 1], changed[n + 2], n = 'meta', meta, n + 2 end
  if key then changed[n + 1], changed[n + 2], n = batch.key_field, key, n + 2 end
  redis.call('HSET', batch.scratch, 'ended_at', ended, 'description', short(old[7] or ''), unpack(changed))
  if made.key and not key then redis.call('HDEL', batch.scratch, batch.key_field) end
  if made.ttl ~= ttl then
    keep(batch.scratch, ttl)
    made.ttl, made.score = ttl, ttl < 0 and '+inf' or string.format('%d', math.ceil(batch.now + ttl))
  end
  made.created, made.enqueued, made.started, made.origin = created, enqueued, started, origin
  made.meta, made.key = meta, key
end

-- Seconds for which a receipt is kept; below 0: for ever.
local function receipt_ttl(batch, old)
  local ttl = ttl_of(old[8], batch.default_ttl)
  return old[9] and ttl >= 0 and math.max(ttl, tonumber(batch.key_memory)) or ttl
end

-- The receipt takes the hash's place in one step: from then on the mail is never sent again. Reply its score in the
-- finished registry.
-- ttl: not 0; ended: in RQ's date form; meta: JSON
local function put_receipt(batch, id, ttl, ended, meta, old)
  local job = batch.jobs .. id
  make_receipt(batch, ttl, ended, meta, old)
  local score, copied = batch.made.score, type(redis.pcall('COPY', batch.scratch, job, 'REPLACE')) ~= 'table'
  -- Taking this right away must not keep what SES has from being recorded.
  if not copied then redis.call('RENAME', batch.scratch, job) end
  -- A hash that has been large stays so, and its copies with it.
  if not copied or #meta > 64 then
    redis.call('DEL', batch.scratch)
    batch.made = {}
  end
  return score
end
