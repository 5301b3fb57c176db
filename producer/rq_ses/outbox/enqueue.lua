-- enqueue: write jobs and their places in one step; a job that is taken care of already is left as it is.
-- (FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the set of queues   2 a scratch key, which never stands (rq_ses.keys)
--       then for each queue of these jobs: its list, its scheduled registry
-- ARGV  1 prefix of job keys   2 "strict": a conflict refuses the whole batch, else ""   3 name of the key field
--       4 name of the recipients field   5 now, in RQ's date form   6 timeout   7 result_ttl   8 failure_ttl
--       then for each queue: what jobs call it, its name, its wake channel
--       then for each job: its queue, id, data, description, due ("" = now, "+s" = in s seconds,
--       else epoch seconds), key ("" or "DIGEST:NONCE"), number of recipients ("" = 1)
-- Reply one word a job: "enqueued" (by this call), "ours" (by an earlier try of this very call), "duplicate" (same
--       key, same message), "conflict" (same key, another message; nothing written for it; strict: for none, and "refused" is what would have been)
--
-- That a job is there doesn't say that it is taken care of. One that is queued or scheduled, but stands in no place,
-- gets one; one that was canceled or stopped frees its key, unless an attempt of it is still under way.
-- Places are written first, hashes after: an id without a job is dropped by claim and promote, a job without a place
-- would be lost. The first write is one that a server without memory refuses.
--
-- What a call has in hand stands in one table that functions are given: every local that one captures would cost each
-- call, and most calls enqueue one mail.

local QUEUES = (#KEYS - 2) / 2
local FIRST, WIDTH = 9 + 3 * QUEUES, 7
local it = {
  prefix = string.sub(ARGV[1], 1, -5),
  -- entries of long lists that may still be searched; beyond it a job's word for being queued is taken
  search = 1000000,
  -- queues as they are met, and by what these jobs call them; mends: commands that come last; freed: queues of jobs
  -- that free their key, by the places of those that take it
  queues = {}, called = {}, mends = {}, freed = {},
}
for number = 1, QUEUES do
  local at = 6 + 3 * number
  local queue = { list = KEYS[2 * number + 1], scheduled = KEYS[2 * number + 2], name = ARGV[at + 1],
    channel = ARGV[at + 2], ready = {}, later = {} }
  it.queues[number], it.called[ARGV[at]] = queue, queue
end

local function now(it)
  if not it.now then
    local time = redis.call('TIME')
    it.now = time[1] + time[2] / 1000000
  end
  return it.now
end

local function put(it, queue, due, id)
  if due == '' then
    queue.ready[#queue.ready + 1] = id
  else
    local score = string.sub(due, 1, 1) == '+' and string.format('%.6f', now(it) + tonumber(due)) or due
    queue.later[#queue.later + 1] = score
    queue.later[#queue.later + 1] = id
  end
end

local function compare(known, key)
  if key == '' or known == key then return 'ours' end
  if known and string.match(known, '^[^:]*') == string.match(key, '^[^:]*') then return 'duplicate' end
  return 'conflict'
end

-- Jobs that are there already

-- The queue a job was enqueued to: not always one of these.
local function queue_of(it, origin, i)
  if not origin or origin == '' then return it.called[ARGV[i]] end
  for _, queue in ipairs(it.queues) do
    if queue.name == origin then return queue end
  end
  local queue = { list = it.prefix .. 'queue:' .. origin, scheduled = it.prefix .. 'scheduled:' .. origin,
    name = origin, channel = it.prefix .. 'ses:wake:' .. origin, ready = {}, later = {} }
  it.queues[#it.queues + 1] = queue
  return queue
end

local function registry(it, kind, queue) return it.prefix .. kind .. ':' .. queue.name end

-- When a failed job leaves its registry; its hash outlives that.
local function until_end(it, job)
  local left = redis.call('PTTL', job)
  return left < 0 and '+inf' or string.format('%.6f', now(it) + left / 1000 - FAILED_GRACE)
end

local function listed(it, queue, id)
  queue.size = queue.size or redis.call('LLEN', queue.list)
  it.search = it.search - queue.size
  return it.search < 0 or redis.call('LPOS', queue.list, id) or redis.call('LPOS', queue.list .. ':intermediate', id)
end

local function under_way(it, queue, id)
  if not queue.leased then
    queue.leased = {}
    for _, member in ipairs(redis.call('ZRANGE', it.prefix .. 'ses:leases:' .. queue.name, 0, -1)) do
      queue.leased[string.match(member, '^[^:]*')] = true
    end
  end
  if queue.leased[id] then return true end
  -- Those of RQ's own workers
  local executions = redis.pcall('ZRANGE', it.prefix .. 'executions:' .. id, 0, -1)
  if executions.err then return true end
  for _, execution in ipairs(executions) do
    if redis.call('EXISTS', it.prefix .. 'execution:' .. id .. ':' .. execution) == 1 then return true end
  end
  return false
end

local function mend(it, ...) it.mends[#it.mends + 1] = { ... } end

-- Whether a job frees its key: it was given up, or has failed and left its registry, for its time is over.
local function is_over(it, job, status, queue, id)
  if status == 'canceled' or status == 'stopped' then return true end
  if status ~= 'failed' then return false end
  local left = redis.call('PTTL', job)
  return left >= 0 and left <= FAILED_GRACE * 1000 and not redis.call('ZSCORE', registry(it, 'failed', queue), id)
end

-- What a job that is there says to this call; nil if there is none, or it frees its key.
local function standing(it, i, id, key)
  local job = ARGV[1] .. id
  local status, known, origin = unpack(redis.call('HMGET', job, 'status', ARGV[3], 'origin'))
  if not status and redis.call('EXISTS', job) == 0 then return nil end
  local word, queue = compare(known, key), queue_of(it, origin, i)
  if is_over(it, job, status, queue, id) then
    if word == 'ours' or under_way(it, queue, id) then return word end
    it.freed[i] = queue
    return nil
  end
  if word == 'conflict' then return word end
  if status == 'failed' then
    local failed = registry(it, 'failed', queue)
    if not redis.call('ZSCORE', failed, id) then mend(it, 'ZADD', failed, until_end(it, job), id) end
  elseif status == 'queued' or status == 'scheduled' then
    -- What was requeued by RQ's means may still have the time to live of a failed mail.
    if redis.call('PTTL', job) >= 0 then mend(it, 'PERSIST', job) end
    if not redis.call('ZSCORE', queue.scheduled, id) and not listed(it, queue, id) then
      local due = status == 'scheduled' and ARGV[i + 4] or ''
      put(it, queue, due, id)
      if due == '' then mend(it, 'HSET', job, 'status', 'queued', 'enqueued_at', ARGV[5]) end
      return 'enqueued'
    end
  end
  return word
end

-- Jobs that are new

local function write_at_once(i, job, name, status)
  local fields = { 'created_at', ARGV[5], 'status', status, 'origin', name, 'timeout', ARGV[6], 'result_ttl', ARGV[7],
    'failure_ttl', ARGV[8], 'description', ARGV[i + 3], 'data', ARGV[i + 2] }
  if ARGV[i + 5] ~= '' then fields[17], fields[18] = ARGV[3], ARGV[i + 5] end
  if ARGV[i + 6] ~= '' then fields[#fields + 1], fields[#fields + 2] = ARGV[4], ARGV[i + 6] end
  if status == 'queued' then fields[#fields + 1], fields[#fields + 2] = 'enqueued_at', ARGV[5] end
  redis.call('HSET', job, unpack(fields))
end

-- Each is a copy of what is built under the scratch key, and of the next only what differs is written.
-- made: what the copy before says.
local function copy(made, i, job, name, status)
  local key, recipients = ARGV[i + 5], ARGV[i + 6]
  if not made.origin then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'created_at', ARGV[5], 'status', status, 'origin', name, 'timeout', ARGV[6],
      'result_ttl', ARGV[7], 'failure_ttl', ARGV[8])
    if status == 'queued' then redis.call('HSET', KEYS[2], 'enqueued_at', ARGV[5]) end
    made.origin = name
  end
  if made.keyed and key == '' or made.weighed and recipients == '' then
    redis.call('HDEL', KEYS[2], ARGV[3], ARGV[4])
  end
  if name ~= made.origin then redis.call('HSET', KEYS[2], 'origin', name) end
  if recipients ~= '' then redis.call('HSET', KEYS[2], ARGV[4], recipients) end
  if key ~= '' then
    redis.call('HSET', KEYS[2], 'description', ARGV[i + 3], 'data', ARGV[i + 2], ARGV[3], key)
  else
    redis.call('HSET', KEYS[2], 'description', ARGV[i + 3], 'data', ARGV[i + 2])
  end
  redis.call('COPY', KEYS[2], job)
  made.origin, made.keyed, made.weighed = name, key ~= '', recipients ~= ''
end

-- Below four a job is written at once; more are copies.
local function write(it, kind, status)
  local made = {}
  for _, i in ipairs(kind) do
    local id, freed, name = ARGV[i + 1], it.freed[i], it.called[ARGV[i]].name
    local job = ARGV[1] .. id
    if freed then redis.call('DEL', job, it.prefix .. 'results:' .. id) end
    if #kind < 4 then write_at_once(i, job, name, status) else copy(made, i, job, name, status) end
    if freed then
      -- What SES tells yet of the mail that had the key is not of this one (resolve.lua).
      redis.call('HSET', job, SINCE_FIELD, string.format('%.3f', now(it)))
      redis.call('ZREM', registry(it, 'canceled', freed), id)
      redis.call('ZREM', registry(it, 'failed', freed), id)
    end
  end
end

local function write_all(it, kind, status)
  -- Broken off, too, it leaves no mail's words where they don't belong.
  local fine, reason = pcall(write, it, kind, status)
  if #kind >= 4 then redis.pcall('DEL', KEYS[2]) end
  if not fine then error(reason, 0) end
end

local jobs, there = {}, 0
for i = FIRST, #ARGV, WIDTH do jobs[#jobs + 1] = ARGV[1] .. ARGV[i + 1] end
for at = 1, #jobs, 1000 do there = there + redis.call('EXISTS', unpack(jobs, at, math.min(at + 999, #jobs))) end

local words, ready, later, earlier, refused = {}, {}, {}, {}, false
for i = FIRST, #ARGV, WIDTH do
  local id, key = ARGV[i + 1], ARGV[i + 5]
  local word
  if earlier[id] then word = compare(earlier[id], key) elseif there > 0 then word = standing(it, i, id, key) end
  if not word then
    word = 'enqueued'
    local kind = ARGV[i + 4] == '' and ready or later
    kind[#kind + 1] = i
  end
  if word == 'enqueued' then earlier[id] = key end
  words[#words + 1] = word
  refused = refused or word == 'conflict'
end
if refused and ARGV[2] == 'strict' then
  for at, word in ipairs(words) do words[at] = word == 'enqueued' and 'refused' or word end
  return words
end

for _, i in ipairs(ready) do put(it, it.called[ARGV[i]], '', ARGV[i + 1]) end
for _, i in ipairs(later) do put(it, it.called[ARGV[i]], ARGV[i + 4], ARGV[i + 1]) end
for _, queue in ipairs(it.queues) do
  if #queue.ready + #queue.later > 0 then redis.call('SADD', KEYS[1], queue.list) end
end
for _, queue in ipairs(it.queues) do
  for at = 1, #queue.ready, 1000 do
    local last = math.min(at + 999, #queue.ready)
    queue.wakes = redis.call('RPUSH', queue.list, unpack(queue.ready, at, last)) == last - at + 1 or queue.wakes
  end
  for at = 1, #queue.later, 1000 do
    redis.call('ZADD', queue.scheduled, unpack(queue.later, at, math.min(at + 999, #queue.later)))
  end
end

if #ready > 0 then write_all(it, ready, 'queued') end
if #later > 0 then write_all(it, later, 'scheduled') end
for _, command in ipairs(it.mends) do
  if command[1] == 'HSET' then redis.call('HSET', unpack(command, 2)) end
  if command[1] == 'PERSIST' then redis.call('PERSIST', command[2]) end
  if command[1] == 'ZADD' then redis.call('ZADD', unpack(command, 2)) end
end
-- A wake-up that is refused costs a moment, no mail: all is written.
for _, queue in ipairs(it.queues) do
  if queue.wakes then redis.pcall('PUBLISH', queue.channel, '') end
end
return words
