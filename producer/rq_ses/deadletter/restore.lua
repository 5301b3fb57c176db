-- restore: write mails from a file, failed or queued; a job that is there already is left as it is.
-- (FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the failed registry   2 the queue's list   3 the set of queues   4 a scratch key
-- ARGV  1 prefix of job keys   2 prefix of result keys   3 the queue's name   4 its wake channel
--       5 name of the key field   6 name of the recipients field   7 name of the field of a campaign's name
--       8 prefix of the records of campaigns   9 prefix of their terms   10 the set of campaigns   11 characters that
--       name a hash of the index   12 bytes of a field there
--       then for each mail: id, "failed" or "queued", data, description, created_at, enqueued_at, ended_at, meta,
--       exc_info, exc_string (as RQ's Result has it), timeout, result_ttl, failure_ttl, key ("": none), number
--       of recipients; of a campaign's entries its name, the hash of its terms, the terms ("": an earlier mail of
--       this call has them), and of each entry the characters and the bytes of its place in the index; else "" four times
-- Reply one word a mail: "restored", or "exists"
--       Places are written first, hashes after: an id without a job is dropped by claim, or by audit. A campaign's terms
--       and index stand before its jobs; its counts come last, and audit mends them.

local failed, queue, queues, scratch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local job_prefix, results_prefix, record_prefix, terms_prefix = ARGV[1], ARGV[2], ARGV[8], ARGV[9]
local FIRST, WIDTH, BUCKET, ENTRY = 13, 19, tonumber(ARGV[11]), ARGV[11] + ARGV[12]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local was_empty = redis.call('LLEN', queue) == 0
redis.call('ZCARD', failed)
-- The first write is one that a server without memory refuses.
redis.call('SADD', queues, queue)
local queued, words = 0, {}

local function keep(key, ttl)
  if ttl >= 0 then redis.call('EXPIRE', key, ttl) end
end

-- In its index they have the number of no job: a call that sends the campaign again finds them known.
local function share(campaign, hash, terms, ids)
  if terms ~= '' then redis.call('SET', terms_prefix .. hash, terms, 'NX') end
  for at = 1, #ids, ENTRY do
    redis.call('HSETNX', record_prefix .. campaign .. ':' .. string.sub(ids, at, at + BUCKET - 1),
      string.sub(ids, at + BUCKET, at + ENTRY - 1), '0')
  end
end

-- What was discarded and is back is no longer discarded; what its record didn't know is new to it.
local function count(campaign, hash, entries)
  local record = record_prefix .. campaign
  redis.call('SADD', ARGV[10], campaign)
  if redis.call('EXISTS', record) == 0 then
    -- Numbers of jobs that others have given ids to.
    redis.call('HSET', record, 'queue', ARGV[3], 'terms', hash, 'state', 'sending', 'complete', '1', 'enqueued', entries,
      'jobs', '1000000000', 'created_at', time[1], 'changed_at', time[1])
    return
  end
  local back = math.min(entries, tonumber(redis.call('HGET', record, 'discarded') or '') or 0)
  if back > 0 then redis.call('HINCRBY', record, 'discarded', -back) end
  if entries > back then redis.call('HINCRBY', record, 'enqueued', entries - back) end
  redis.call('HSET', record, 'changed_at', time[1])
end

local function restore(i)
  local id, status, data, description, created_at, enqueued_at, ended_at, meta, exc, exc_string, timeout, result_ttl,
    failure_ttl, key, recipients, campaign, hash, terms, ids = unpack(ARGV, i, i + WIDTH - 1)
  local job = job_prefix .. id
  if redis.call('EXISTS', job) == 1 then
    words[#words + 1] = 'exists'
  else
    local ttl = tonumber(failure_ttl)
    if campaign ~= '' then share(campaign, hash, terms, ids) end
    if status == 'queued' then
      redis.call('RPUSH', queue, id)
      queued = queued + 1
    else
      redis.call('ZADD', failed, ttl < 0 and '+inf' or string.format('%.6f', now + ttl), id)
    end
    local fields = { 'created_at', created_at, 'enqueued_at', enqueued_at, 'started_at', '', 'ended_at', ended_at,
      'status', status, 'origin', ARGV[3], 'timeout', timeout, 'result_ttl', result_ttl, 'failure_ttl', failure_ttl,
      'description', description, 'data', data, 'meta', meta, 'worker_name', '', ARGV[6], recipients }
    if key ~= '' then fields[#fields + 1], fields[#fields + 2] = ARGV[5], key end
    if campaign ~= '' then fields[#fields + 1], fields[#fields + 2] = ARGV[7], campaign end
    if status == 'failed' then fields[#fields + 1], fields[#fields + 2] = 'exc_info', exc end
    -- Whole, with its time to live, or not at all.
    redis.call('DEL', scratch)
    redis.call('HSET', scratch, unpack(fields))
    if status == 'failed' and ttl >= 0 then keep(scratch, ttl + FAILED_GRACE) end
    redis.call('RENAME', scratch, job)
    if status == 'failed' then
      -- A fresh stream takes 4 KB in advance; a copy of it takes what it holds.
      redis.call('DEL', results_prefix .. id)
      redis.call('XADD', scratch, '*', 'worker_name', '', 'type', 2, 'exc_string', exc_string)
      redis.call('COPY', scratch, results_prefix .. id)
      redis.call('DEL', scratch)
      keep(results_prefix .. id, ttl)
    end
    if campaign ~= '' then count(campaign, hash, #ids / ENTRY) end
    words[#words + 1] = 'restored'
  end
end

for i = FIRST, #ARGV, WIDTH do
  local fine, reason = pcall(restore, i)
  if not fine then
    -- Broken off, too, it leaves no mail's words where they don't belong.
    redis.pcall('DEL', scratch)
    error(reason, 0)
  end
end

if was_empty and queued > 0 then redis.pcall('PUBLISH', ARGV[4], '') end
return words
