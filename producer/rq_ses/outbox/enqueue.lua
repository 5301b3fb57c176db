-- enqueue: write jobs and their places in one step; a job that is taken care of already is left as it is.
-- (FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the set of queues   2 a scratch key, which never stands (rq_ses.keys)
--       then for each queue, by priority: its list, its scheduled registry
-- ARGV  1 prefix of job keys   2 "strict": a conflict refuses the whole batch, else ""   3 name of the key field
--       4 name of the recipients field   5 now, in RQ's date form   6 timeout   7 result_ttl   8 failure_ttl
--       then for each queue: its name, its wake channel
--       then for each job: queue (1 = the first), id, data, description, due ("" = now, "+s" = in s seconds,
--       else epoch seconds), key ("" or "DIGEST:NONCE"), number of recipients ("" = 1)
-- Reply one word a job: "enqueued" (by this call), "ours" (by an earlier try of this very call), "duplicate" (same
--       key, same message), "conflict" (same key, another message; nothing written for it; strict: for none, and "refused" is what would have been)
--
-- That a job is there doesn't say that it is taken care of. One that is queued or scheduled, but stands in no place,
-- gets one; one that was canceled or stopped frees its key, unless an attempt of it is still under way.
-- Places are written first, hashes after: an id without a job is dropped by claim and promote, a job without a place
-- would be lost. The first write is one that a server without memory refuses.

local QUEUES, SCRATCH = (#KEYS - 2) / 2, KEYS[2]
local FIRST, WIDTH = 9 + 2 * QUEUES, 7
local SEARCHED = 1000000
local job_prefix, key_field, recipients_field, today = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local prefix = string.sub(job_prefix, 1, -5)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local queues = {}
for place = 1, QUEUES do
  queues[place] = { list = KEYS[2 * place + 1], scheduled = KEYS[2 * place + 2], name = ARGV[7 + 2 * place],
    channel = ARGV[8 + 2 * place], ready = {}, later = {} }
end

-- The queue a job was enqueued to: not always one of these.
local function queue_of(origin, i)
  if not origin or origin == '' then return queues[tonumber(ARGV[i])] end
  for _, queue in ipairs(queues) do
    if queue.name == origin then return queue end
  end
  queues[#queues + 1] = { list = prefix .. 'queue:' .. origin, scheduled = prefix .. 'scheduled:' .. origin,
    name = origin, channel = prefix .. 'ses:wake:' .. origin, ready = {}, later = {} }
  return queues[#queues]
end

local function registry(kind, queue) return prefix .. kind .. ':' .. queue.name end

-- When a failed job leaves its registry; its hash outlives that.
local function until_end(job)
  local left = redis.call('PTTL', job)
  return left < 0 and '+inf' or string.format('%.6f', now + left / 1000 - FAILED_GRACE)
end

-- Whether a failed job has left its registry, for its time is over.
local function is_over(job, queue, id)
  local left = redis.call('PTTL', job)
  return left >= 0 and left <= FAILED_GRACE * 1000 and not redis.call('ZSCORE', registry('failed', queue), id)
end

-- Entries of long lists are searched up to a bound in all; beyond it a job's word for being queued is taken.
local function listed(queue, id)
  queue.size = queue.size or redis.call('LLEN', queue.list)
  SEARCHED = SEARCHED - queue.size
  return SEARCHED < 0 or redis.call('LPOS', queue.list, id) or redis.call('LPOS', queue.list .. ':intermediate', id)
end

local function under_way(queue, id)
  if not queue.leased then
    queue.leased = {}
    for _, member in ipairs(redis.call('ZRANGE', prefix .. 'ses:leases:' .. queue.name, 0, -1)) do
      queue.leased[string.match(member, '^[^:]*')] = true
    end
  end
  if queue.leased[id] then return true end
  -- Those of RQ's own workers
  local executions = redis.pcall('ZRANGE', prefix .. 'executions:' .. id, 0, -1)
  if executions.err then return true end
  for _, execution in ipairs(executions) do
    if redis.call('EXISTS', prefix .. 'execution:' .. id .. ':' .. execution) == 1 then return true end
  end
  return false
end

local mends, freed = {}, {}

local function mend(...) mends[#mends + 1] = { ... } end

local function put(queue, due, id)
  if due == '' then
    queue.ready[#queue.ready + 1] = id
  else
    local score = string.sub(due, 1, 1) == '+' and string.format('%.6f', now + tonumber(due)) or due
    queue.later[#queue.later + 1] = score
    queue.later[#queue.later + 1] = id
  end
end

local function compare(known, key)
  if key == '' or known == key then return 'ours' end
  if known and string.match(known, '^[^:]*') == string.match(key, '^[^:]*') then return 'duplicate' end
  return 'conflict'
end

-- What a job that is there says to this call; nil if there is none, or it frees its key.
local function standing(i, id, key)
  local job = job_prefix .. id
  local status, known, origin = unpack(redis.call('HMGET', job, 'status', key_field, 'origin'))
  if not status and redis.call('EXISTS', job) == 0 then return nil end
  local word, queue = compare(known, key), queue_of(origin, i)
  if status == 'canceled' or status == 'stopped' or status == 'failed' and is_over(job, queue, id) then
    if word == 'ours' or under_way(queue, id) then return word end
    freed[i] = queue
    return nil
  end
  if word == 'conflict' then return word end
  if status == 'failed' then
    local failed = registry('failed', queue)
    if not redis.call('ZSCORE', failed, id) then mend('ZADD', failed, until_end(job), id) end
  elseif status == 'queued' or status == 'scheduled' then
    -- What was requeued by RQ's means may still have the time to live of a failed mail.
    if redis.call('PTTL', job) >= 0 then mend('PERSIST', job) end
    if not redis.call('ZSCORE', queue.scheduled, id) and not listed(queue, id) then
      local due = status == 'scheduled' and ARGV[i + 4] or ''
      put(queue, due, id)
      if due == '' then mend('HSET', job, 'status', 'queued', 'enqueued_at', today) end
      return 'enqueued'
    end
  end
  return word
end

local jobs, there = {}, 0
for i = FIRST, #ARGV, WIDTH do jobs[#jobs + 1] = job_prefix .. ARGV[i + 1] end
for at = 1, #jobs, 1000 do there = there + redis.call('EXISTS', unpack(jobs, at, math.min(at + 999, #jobs))) end

local words, fresh, earlier, refused = {}, {}, {}, false
for i = FIRST, #ARGV, WIDTH do
  local id, key = ARGV[i + 1], ARGV[i + 5]
  local word
  if earlier[id] then word = compare(earlier[id], key) elseif there > 0 then word = standing(i, id, key) end
  if not word then
    word = 'enqueued'
    fresh[#fresh + 1] = i
  end
  if word == 'enqueued' then earlier[id] = key end
  words[#words + 1] = word
  refused = refused or word == 'conflict'
end
if refused and ARGV[2] == 'strict' then
  for at, word in ipairs(words) do words[at] = word == 'enqueued' and 'refused' or word end
  return words
end

for _, i in ipairs(fresh) do put(queues[tonumber(ARGV[i])], ARGV[i + 4], ARGV[i + 1]) end
for _, queue in ipairs(queues) do
  if #queue.ready + #queue.later > 0 then redis.call('SADD', KEYS[1], queue.list) end
end
for _, queue in ipairs(queues) do
  local ready, later = queue.ready, queue.later
  for at = 1, #ready, 1000 do
    local last = math.min(at + 999, #ready)
    queue.wakes = redis.call('RPUSH', queue.list, unpack(ready, at, last)) == last - at + 1 or queue.wakes
  end
  for at = 1, #later, 1000 do
    redis.call('ZADD', queue.scheduled, unpack(later, at, math.min(at + 999, #later)))
  end
end

-- Below so many a job is written at once; of more, each is a copy of what is built here, and of the next only what
-- differs is written.
local FEW = 4
local origin, keyed, weighed

local function begin(status, first)
  redis.call('DEL', SCRATCH)
  origin, keyed, weighed = queues[tonumber(ARGV[first])].name, false, false
  redis.call('HSET', SCRATCH, 'created_at', today, 'status', status, 'origin', origin, 'timeout', ARGV[6], 'result_ttl',
    ARGV[7], 'failure_ttl', ARGV[8])
  if status == 'queued' then redis.call('HSET', SCRATCH, 'enqueued_at', today) end
end

local function copy(i, job, name)
  local key, recipients = ARGV[i + 5], ARGV[i + 6]
  if keyed and key == '' or weighed and recipients == '' then
    redis.call('HDEL', SCRATCH, key_field, recipients_field)
  end
  if name ~= origin then redis.call('HSET', SCRATCH, 'origin', name) end
  if recipients ~= '' then redis.call('HSET', SCRATCH, recipients_field, recipients) end
  if key ~= '' then
    redis.call('HSET', SCRATCH, 'description', ARGV[i + 3], 'data', ARGV[i + 2], key_field, key)
  else
    redis.call('HSET', SCRATCH, 'description', ARGV[i + 3], 'data', ARGV[i + 2])
  end
  redis.call('COPY', SCRATCH, job)
  origin, keyed, weighed = name, key ~= '', recipients ~= ''
end

local function write_at_once(i, job, name, status)
  local fields = { 'created_at', today, 'status', status, 'origin', name, 'timeout', ARGV[6], 'result_ttl', ARGV[7],
    'failure_ttl', ARGV[8], 'description', ARGV[i + 3], 'data', ARGV[i + 2] }
  local function add(field, value)
    if value ~= '' then fields[#fields + 1], fields[#fields + 2] = field, value end
  end
  add(key_field, ARGV[i + 5])
  add(recipients_field, ARGV[i + 6])
  add('enqueued_at', status == 'queued' and today or '')
  redis.call('HSET', job, unpack(fields))
end

local function write(i, status, few)
  local id, name = ARGV[i + 1], queues[tonumber(ARGV[i])].name
  local job = job_prefix .. id
  if freed[i] then redis.call('DEL', job, prefix .. 'results:' .. id) end
  if few then write_at_once(i, job, name, status) else copy(i, job, name) end
  if freed[i] then
    redis.call('ZREM', registry('canceled', freed[i]), id)
    redis.call('ZREM', registry('failed', freed[i]), id)
  end
end

local ready, later = {}, {}
for _, i in ipairs(fresh) do
  local kind = ARGV[i + 4] == '' and ready or later
  kind[#kind + 1] = i
end
local function write_all(kind, status)
  local few = #kind < FEW
  -- Broken off, too, it leaves no mail's words where they don't belong.
  local fine, reason = pcall(function()
    if not few then begin(status, kind[1]) end
    for _, i in ipairs(kind) do write(i, status, few) end
  end)
  if not few then redis.pcall('DEL', SCRATCH) end
  if not fine then error(reason, 0) end
end

write_all(ready, 'queued')
write_all(later, 'scheduled')
for _, command in ipairs(mends) do
  if command[1] == 'HSET' then redis.call('HSET', unpack(command, 2)) end
  if command[1] == 'PERSIST' then redis.call('PERSIST', command[2]) end
  if command[1] == 'ZADD' then redis.call('ZADD', unpack(command, 2)) end
end
-- A wake-up that is refused costs a moment, no mail: all is written.
for _, queue in ipairs(queues) do
  if queue.wakes then redis.pcall('PUBLISH', queue.channel, '') end
end
return words
