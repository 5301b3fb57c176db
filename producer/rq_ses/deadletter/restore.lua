-- restore: write mails from a file, failed or queued; a job that is there already is left as it is.
-- (FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the failed registry   2 the queue's list   3 the set of queues   4 a scratch key
-- ARGV  1 prefix of job keys   2 prefix of result keys   3 the queue's name   4 its wake channel
--       5 name of the key field   6 name of the recipients field
--       then for each mail: id, "failed" or "queued", data, description, created_at, enqueued_at, ended_at, meta,
--       exc_info, exc_string (as RQ's Result has it), timeout, result_ttl, failure_ttl, key ("": none), number
--       of recipients
-- Reply one word a mail: "restored", or "exists"
--       Places are written first, hashes after: an id without a job is dropped by claim, or by audit.

local failed, queue, queues, scratch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local job_prefix, results_prefix = ARGV[1], ARGV[2]
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

local function restore(i)
  local id, status, data, description, created_at, enqueued_at, ended_at, meta, exc, exc_string, timeout, result_ttl,
    failure_ttl, key, recipients = unpack(ARGV, i, i + 14)
  local job = job_prefix .. id
  if redis.call('EXISTS', job) == 1 then
    words[#words + 1] = 'exists'
  else
    local ttl = tonumber(failure_ttl)
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
    words[#words + 1] = 'restored'
  end
end

for i = 7, #ARGV, 15 do
  local fine, reason = pcall(restore, i)
  if not fine then
    -- Broken off, too, it leaves no mail's words where they don't belong.
    redis.pcall('DEL', scratch)
    error(reason, 0)
  end
end

if was_empty and queued > 0 then redis.pcall('PUBLISH', ARGV[4], '') end
return words
