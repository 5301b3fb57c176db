-- resend: move failed mails to the back of their queue, each only if it still is the failed mail that was read.
-- (…_FIELD: contract.LUA_CONSTANTS)
--
-- KEYS  1 the failed registry   2 the queue's list   3 the set of queues   4 a scratch key, which never stands
--       (rq_ses.keys)
-- ARGV  1 prefix of job keys   2 the queue's name   3 its wake channel   4 now, in RQ's date form
--       then for each mail: id, the ended_at that was read, its new meta ("": as it is), and, if it is edited,
--       else "": data, description, number of recipients
-- Reply one word a mail: "resent"; "gone" (no failed mail any more); "changed" (it failed anew since it was read)

-- A mail's new place is written first, its old one goes last: broken off, it stands in both, and is queued or failed
-- by its hash, to which claim, audit and the next resend keep.

local failed, queue, queues = KEYS[1], KEYS[2], KEYS[3]
local job_prefix = ARGV[1]
-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('ZREM', failed, '')
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
local was_empty = redis.call('LLEN', queue) == 0
local resent, words = 0, {}

for i = 5, #ARGV, 6 do
  local id, ended_at, meta, data, description, recipients = unpack(ARGV, i, i + 5)
  local job, word = job_prefix .. id, 'gone'
  local found = redis.call('ZSCORE', failed, id) and redis.pcall('HMGET', job, 'status', 'ended_at')
  -- A key of another type is no mail; any other error must not count as "gone".
  if found and found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
  if found and not found.err and found[1] == 'failed' then
    word = (found[2] or '') == ended_at and 'resent' or 'changed'
  end
  if word == 'resent' then
    redis.call('RPUSH', queue, id)
    redis.call('PERSIST', job)
    -- As RQ's requeue leaves it: a blank started_at tells the worker to count its attempts anew.
    local meta_field = meta ~= '' and 'meta' or RESENT_FIELD
    local fields = { 'status', 'queued', 'origin', ARGV[2], 'enqueued_at', ARGV[4], 'started_at', '', 'ended_at', '',
      'worker_name', '', meta_field, meta, RESENT_FIELD, now }
    if data ~= '' then
      for _, field in ipairs({ 'data', data, 'description', description, RECIPIENTS_FIELD, recipients }) do
        fields[#fields + 1] = field
      end
    end
    redis.call('HSET', job, unpack(fields))
    redis.call('HDEL', job, 'exc_info', ACCEPTED_FIELD)
    redis.call('ZREM', failed, id)
    resent = resent + 1
  end
  words[#words + 1] = word
end

if resent > 0 then
  -- For show, and to wake: all is written.
  redis.pcall('SADD', queues, queue)
  if was_empty then redis.pcall('PUBLISH', ARGV[3], '') end
end
return words
