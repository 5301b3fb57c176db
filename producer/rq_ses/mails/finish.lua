-- finish: what is left of a mail that was sent, its receipt and RQ's result; put in front of scripts that write it.
-- (typed.lua)
--
-- batch is what such a script has in hand, for every local that a function captures would cost each call:
--   now              the server's time (epoch seconds)
--   jobs, results    prefixes of keys
--   scratch, result_scratch   scratch keys: receipts and results are copies of what is built there
--   worker           its name
--   ttls, made       empty tables: TTLs by what jobs say; what the receipt last made says
--   result_ttl       nil: the TTL of what stands under result_scratch
--   spoilt           becomes true where a key isn't of RQ's type
-- old is what HMGET has of a job: status, execution, created_at, enqueued_at, started_at, description, result_ttl, key

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
  return (string.gsub(string.sub(text, 1, 61), '[\192-\255][\128-\191]*$', '')) .. '\226\128\166'  -- an ellipsis
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
  local fresh = redis.call('COPY', batch.result_scratch, key) == 1
  local added = redis.pcall('XADD', key, 'MAXLEN', fresh and '1' or '10', '*', 'worker_name', batch.worker, 'type', kind,
    field, value)
  if type(added) == 'table' and not judged(added) then batch.spoilt = true end
  if not fresh then keep(key, ttl) end
end

-- Receipts of a batch differ in little: the one last made stays under the scratch key, and only what differs is written.
-- name: of the queue, which a job's origin is; ended: in RQ's date form; meta: JSON
local function make_receipt(batch, ttl, name, ended, meta, old)
  local made, created, enqueued, started, key = batch.made, old[3] or ended, old[4] or '', old[5] or '', old[8]
  local description = short(old[6] or '')
  if made.ttl == ttl and made.name == name and made.meta == meta and not key and not made.key then
    if made.created == created and made.enqueued == enqueued and made.started == started then
      redis.call('HSET', batch.scratch, 'ended_at', ended, 'description', description)
    else
      redis.call('HSET', batch.scratch, 'ended_at', ended, 'description', description, 'created_at', created,
        'enqueued_at', enqueued, 'started_at', started)
    end
  else
    local fields = { 'ended_at', ended, 'description', description, 'created_at', created, 'enqueued_at', enqueued,
      'started_at', started, 'origin', name, 'meta', meta, 'status', 'finished', 'worker_name', short(batch.worker),
      'data', RECEIPT_DATA, 'result_ttl', ttl }
    if key then fields[23], fields[24] = KEY_FIELD, key end
    redis.call('HSET', batch.scratch, unpack(fields))
    if made.key and not key then redis.call('HDEL', batch.scratch, KEY_FIELD) end
    if made.ttl ~= ttl then
      keep(batch.scratch, ttl)
      made.ttl, made.score = ttl, ttl < 0 and '+inf' or string.format('%d', math.ceil(batch.now + ttl))
    end
    made.name, made.meta, made.key = name, meta, key
  end
  made.created, made.enqueued, made.started = created, enqueued, started
end

-- Seconds for which a receipt is kept; below 0: for ever.
local function receipt_ttl(batch, old)
  local says = old[7] or ''
  local ttl = batch.ttls[says]
  if not ttl then
    ttl = ttl_of(says, RESULT_TTL)
    batch.ttls[says] = ttl
  end
  return old[8] and ttl >= 0 and math.max(ttl, KEY_MEMORY) or ttl
end

-- The receipt takes the hash's place in one step: from then on the mail is never sent again. Reply its score in the
-- finished registry. ttl: not 0
local function put_receipt(batch, id, ttl, name, ended, meta, old)
  local job = batch.jobs .. id
  make_receipt(batch, ttl, name, ended, meta, old)
  local score, copied = batch.made.score, redis.pcall('COPY', batch.scratch, job, 'REPLACE') == 1
  -- Taking this right away must not keep what SES has from being recorded.
  if not copied then redis.call('RENAME', batch.scratch, job) end
  -- A hash that has been large stays so, and its copies with it.
  if not copied or #meta > 64 then
    redis.call('DEL', batch.scratch)
    batch.made = {}
  end
  return score
end
