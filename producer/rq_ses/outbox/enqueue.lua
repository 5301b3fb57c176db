-- enqueue: write jobs and their places in one step; a job that is taken care of already is left as it is.
-- (names in capitals: contract.LUA_CONSTANTS)
--
-- KEYS  1 the set of queues   2 a scratch key, which never stands (rq_ses.keys)
-- ARGV  1 prefix of all keys   2 "strict": a conflict refuses the whole batch, else ""   3 now, in RQ's date form
--       4 result_ttl   5 failure_ttl
--       then for each run of jobs: how many they are, and what they have in common: the name of their queue, and
--       "DUE,RECIPIENTS,KEYED", or "" where each is "": when they are due ("" = now, "+s" = in s seconds, else
--       epoch seconds), the number of recipients ("" = 1), whether they have keys ("" = none)
--         of each its id, data, description, and of one that is keyed "DIGEST:NONCE"
-- Reply "enqueued" if all are, by this call. Else one word a job: "enqueued", "ours" (by an earlier try of this very
--       call), "duplicate" (same key, same message), "conflict" (same key, another message; nothing written for it;
--       strict: for none, and "refused" is what would have been)
--
-- That a job is there doesn't say that it is taken care of. One that is queued or scheduled, but stands in no place,
-- gets one; one that was canceled or stopped frees its key, unless an attempt of it is still under way.
-- Places are written first, hashes after: an id without a job is dropped by claim and promote, a job without a place
-- would be lost. The first write is one that a server without memory refuses.
--
-- Most calls enqueue one mail, that is new: what is for others only is made where it is needed, for each function
-- that is made costs each call.

local ROOT, JOB, TODAY = ARGV[1], ARGV[1] .. 'job:', ARGV[3]
-- Queues as they are met, and by their names.
local queues, named = {}, {}
local time

local function now()
  time = time or redis.call('TIME')
  return time[1] + time[2] / 1000000
end

local function queue_of(name)
  local queue = named[name]
  if not queue then
    queue = { name = name, list = ROOT .. 'queue:' .. name, ready = {}, later = {} }
    queues[#queues + 1], named[name] = queue, queue
  end
  return queue
end

-- Look at each job, for some are there already, or may be of one key. Return a word for each; commands that come last;
-- queues of jobs that free their key, by the places of those that take it; and whether there is a conflict.
local function look(runs, there)
  local mends, freed = {}, {}

  local function compare(known, key)
    if key == '' or known == key then return 'ours' end
    if known and string.match(known, '^[^:]*') == string.match(key, '^[^:]*') then return 'duplicate' end
    return 'conflict'
  end

  -- Return what tells of a job that is there what it says to this call: nil if there is none, or it frees its key.
  local function jobs_there()
    -- Entries of long lists that may still be searched; beyond it a job's word for being queued is taken.
    local search = 1000000

    local function registry(kind, queue) return ROOT .. kind .. ':' .. queue.name end

    local function mend(...) mends[#mends + 1] = { ... } end

    -- When a failed job leaves its registry; its hash outlives that.
    local function until_end(job)
      local left = redis.call('PTTL', job)
      return left < 0 and '+inf' or string.format('%.6f', now() + left / 1000 - FAILED_GRACE)
    end

    local function listed(queue, id)
      queue.size = queue.size or redis.call('LLEN', queue.list)
      search = search - queue.size
      return search < 0 or redis.call('LPOS', queue.list, id) or redis.call('LPOS', queue.list .. ':intermediate', id)
    end

    local function under_way(queue, id)
      if not queue.leased then
        queue.leased = {}
        for _, member in ipairs(redis.call('ZRANGE', ROOT .. 'ses:leases:' .. queue.name, 0, -1)) do
          queue.leased[string.match(member, '^[^:]*')] = true
        end
      end
      if queue.leased[id] then return true end
      -- Those of RQ's own workers
      local executions = redis.pcall('ZRANGE', ROOT .. 'executions:' .. id, 0, -1)
      if executions.err then return true end
      for _, execution in ipairs(executions) do
        if redis.call('EXISTS', ROOT .. 'execution:' .. id .. ':' .. execution) == 1 then return true end
      end
      return false
    end

    -- Whether a job frees its key: it was given up, or has failed and left its registry, for its time is over.
    local function is_over(job, status, queue, id)
      if status == 'canceled' or status == 'stopped' then return true end
      if status ~= 'failed' then return false end
      local left = redis.call('PTTL', job)
      return left >= 0 and left <= FAILED_GRACE * 1000 and not redis.call('ZSCORE', registry('failed', queue), id)
    end

    return function(run, i, id, key)
      local job = JOB .. id
      local status, known, origin = unpack(redis.call('HMGET', job, 'status', KEY_FIELD, 'origin'))
      if not status and redis.call('EXISTS', job) == 0 then return nil end
      -- The queue it was enqueued to: not always one of these.
      local word, queue = compare(known, key), origin and origin ~= '' and queue_of(origin) or run.queue
      if is_over(job, status, queue, id) then
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
        if not redis.call('ZSCORE', registry('scheduled', queue), id) and not listed(queue, id) then
          local due = status == 'scheduled' and run.due or ''
          if due == '' then
            queue.ready[#queue.ready + 1] = id
          else
            queue.later[#queue.later + 1], queue.later[#queue.later + 2] = due, id
          end
          if due == '' then mend('HSET', job, 'status', 'queued', 'enqueued_at', TODAY) end
          return 'enqueued'
        end
      end
      return word
    end
  end

  local standing = there > 0 and jobs_there()
  local words, earlier, refused = {}, {}, false
  for _, run in ipairs(runs) do
    run.new = {}
    for i = run.first, run.last, run.width do
      local id, key = ARGV[i], run.keyed and ARGV[i + 3] or ''
      local word
      if earlier[id] then word = compare(earlier[id], key) elseif standing then word = standing(run, i, id, key) end
      if not word then word, run.new[#run.new + 1] = 'enqueued', i end
      if word == 'enqueued' then earlier[id] = key end
      words[#words + 1] = word
      refused = refused or word == 'conflict'
    end
  end
  return words, mends, freed, refused
end

-- What jobs of a run have in common, beside what all have.
local function fields_of(run)
  local fields = { 'status', 'scheduled', 'origin', run.queue.name }
  if run.due == '' then fields[2], fields[5], fields[6] = 'queued', 'enqueued_at', TODAY end
  if run.recipients ~= '' then fields[#fields + 1], fields[#fields + 2] = RECIPIENTS_FIELD, run.recipients end
  return fields
end

local function write_at_once(run)
  local fields = fields_of(run)
  local size = #fields
  for _, i in ipairs(run.new) do
    if run.keyed then fields[size + 1], fields[size + 2] = KEY_FIELD, ARGV[i + 3] end
    redis.call('HSET', JOB .. ARGV[i], 'created_at', TODAY, 'timeout', JOB_TIMEOUT, 'result_ttl', ARGV[4],
      'failure_ttl', ARGV[5], 'description', ARGV[i + 2], 'data', ARGV[i + 1], unpack(fields))
  end
end

-- Each is a copy of what is built under the scratch key, and of the next only what differs is written.
-- made: the run of the copy before.
local function write_copies(run, made)
  local scratch = KEYS[2]
  if not made then
    redis.call('DEL', scratch)
    redis.call('HSET', scratch, 'created_at', TODAY, 'timeout', JOB_TIMEOUT, 'result_ttl', ARGV[4],
      'failure_ttl', ARGV[5], unpack(fields_of(run)))
  elseif made.queue ~= run.queue or made.recipients ~= run.recipients or made.keyed ~= run.keyed
    or (made.due == '') ~= (run.due == '') then
    redis.call('HDEL', scratch, 'enqueued_at', KEY_FIELD, RECIPIENTS_FIELD)
    redis.call('HSET', scratch, unpack(fields_of(run)))
  end
  local call, args = redis.call, ARGV
  for _, i in ipairs(run.new) do
    if run.keyed then
      call('HSET', scratch, 'description', args[i + 2], 'data', args[i + 1], KEY_FIELD, args[i + 3])
    else
      call('HSET', scratch, 'description', args[i + 2], 'data', args[i + 1])
    end
    call('COPY', scratch, JOB .. args[i])
  end
end

local function read_terms(run, terms)
  local due, recipients, keyed = string.match(terms, '^(.*),(.*),(.*)$')
  if string.sub(due, 1, 1) == '+' then due = string.format('%.6f', now() + due) end
  run.due, run.recipients, run.keyed, run.width = due, recipients, keyed ~= '', keyed ~= '' and 4 or 3
end

-- Locals are read at less cost than globals.
local ARGV = ARGV
local runs, jobs, keyed, at = {}, {}, false, 6
while at < #ARGV do
  local run = { queue = queue_of(ARGV[at + 1]), due = '', recipients = '', keyed = false, width = 3, first = at + 3 }
  if ARGV[at + 2] ~= '' then read_terms(run, ARGV[at + 2]) end
  keyed = keyed or run.keyed
  at = run.first + ARGV[at] * run.width
  run.last = at - 1
  local new = {}
  for i = run.first, run.last, run.width do new[#new + 1], jobs[#jobs + 1] = i, JOB .. ARGV[i] end
  runs[#runs + 1], run.new = run, new
end
local there = 0
for at = 1, #jobs, 1000 do there = there + redis.call('EXISTS', unpack(jobs, at, math.min(at + 999, #jobs))) end

local words, mends, freed, refused
if there > 0 or keyed and #jobs > 1 then
  words, mends, freed, refused = look(runs, there)
  if refused and ARGV[2] == 'strict' then
    for at, word in ipairs(words) do words[at] = word == 'enqueued' and 'refused' or word end
    return words
  end
end

local count = 0
for _, run in ipairs(runs) do
  count = count + #run.new
  local ready, later, due = run.queue.ready, run.queue.later, run.due
  for _, i in ipairs(run.new) do
    if due == '' then ready[#ready + 1] = ARGV[i] else later[#later + 1], later[#later + 2] = due, ARGV[i] end
  end
end
for _, queue in ipairs(queues) do
  for at = 1, #queue.ready, 1000 do
    local last = math.min(at + 999, #queue.ready)
    queue.wakes = redis.call('RPUSH', queue.list, unpack(queue.ready, at, last)) == last - at + 1 or queue.wakes
  end
  -- One whose list wasn't empty is in the set already.
  if queue.wakes or #queue.later > 0 then redis.call('SADD', KEYS[1], queue.list) end
  for at = 1, #queue.later, 1000 do
    redis.call('ZADD', ROOT .. 'scheduled:' .. queue.name, unpack(queue.later, at, math.min(at + 999, #queue.later)))
  end
end

for i in pairs(freed or {}) do redis.call('DEL', JOB .. ARGV[i], ROOT .. 'results:' .. ARGV[i]) end
-- Below four a job is written at once; more are copies.
if count < 4 then
  for _, run in ipairs(runs) do write_at_once(run) end
else
  local made, fine, reason
  for _, run in ipairs(runs) do
    -- Broken off, too, it leaves no mail's words where they don't belong.
    fine, reason = pcall(write_copies, run, made)
    if not fine then break end
    made = run
  end
  redis.pcall('DEL', KEYS[2])
  if not fine then error(reason, 0) end
end
if words then
  for i, queue in pairs(freed) do
    -- What SES tells yet of the mail that had the key is not of this one (resolve.lua).
    redis.call('HSET', JOB .. ARGV[i], SINCE_FIELD, string.format('%.3f', now()))
    redis.call('ZREM', ROOT .. 'canceled:' .. queue.name, ARGV[i])
    redis.call('ZREM', ROOT .. 'failed:' .. queue.name, ARGV[i])
  end
  for _, command in ipairs(mends) do
    if command[1] == 'HSET' then redis.call('HSET', unpack(command, 2)) end
    if command[1] == 'PERSIST' then redis.call('PERSIST', command[2]) end
    if command[1] == 'ZADD' then redis.call('ZADD', unpack(command, 2)) end
  end
end
-- A wake-up that is refused costs a moment, no mail: all is written.
for _, queue in ipairs(queues) do
  if queue.wakes then redis.pcall('PUBLISH', ROOT .. 'ses:wake:' .. queue.name, '') end
end
return words or 'enqueued'
