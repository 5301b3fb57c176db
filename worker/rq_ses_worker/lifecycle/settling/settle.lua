-- settle: write how executions ended, each only if its lease still stands. Settling twice changes nothing. (typed.lua,
-- outcome.lua, finish.lua, receipt.lua, contested.lua, counting.lua)
--
-- KEYS  1 the worker's hash   2, 3 scratch keys
--       then for each queue that the settlements speak of: its list, its started registry, its leases, its
--       scheduled, finished, failed and canceled registries
-- ARGV  1-4 prefixes of the keys of jobs, executions, a job's index of executions, results
--       5 worker name   6 field of a job's hash with the execution it is started by   7 the key field
--       8 seconds a key is remembered at least   9 default result_ttl   10 default failure_ttl
--       11 `data` of a receipt   12 seconds worked
--       13 the stream of outcomes, and 14 entries that it holds at most; "": nobody is told
--       then for each group of settlements: the queue's place among KEYS, "1": each only if the lease has run out
--       (its worker died), else only if the lease is held; their action, their meta (JSON text; "": the jobs' stay
--       as they are), the campaign of bulk jobs ("": they are mails), how many entries each has, how many they are,
--       and for each: id, execution, when it ended (RQ's date form), and a value
--       of its action's own:
--         sent    result (as RQ's Result has it)
--         retry   seconds until it is due
--         failed  exc (a line), and exc_string (as RQ's Result has it)
--         back    into the front of the queue; "1": as if it had never been claimed; "=N": only if it has N entries still
--       if somebody is told, of each that is sent or failed the outcome, too (JSON)
-- Reply one word a settlement, or "done" for all of them:
--       done      written
--       late      its lease had gone, but nobody had started the mail again: "sent" was written
--       lost      its lease had gone: another has taken the mail, or it was settled before; nothing written
--       canceled  canceled while it was being sent; it stays canceled, its meta tells the outcome
--       accepted  canceled while it was being sent, but SES has it: "sent" was written, with a note in its meta
--       told      not sent by this attempt, but an event tells that SES has accepted it: "sent" was written
--       vanished  its hash is gone (deleted while it was being sent)
--       broken    one of its keys isn't of RQ's type; what could be written was. One that has no place to go to
--                 keeps its lease, and is reclaimed when that runs out
--
-- A mail's new place is written first, then its hash changes and names the execution as over, and its lease goes last.
-- A receipt takes the hash's place, and then its own. So a mail stands somewhere wherever the script breaks off; and
-- what is settled again is only completed.

local batch = new_batch()
if ARGV[13] ~= '' then batch.stream = ARGV[13] end
local queues, write = {}, { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }

-- What a batch puts into a sorted set, or takes out of it, goes in one command: so many values as Lua hands over.
local SOME = 2000

local function some(values, at) return unpack(values, at, math.min(at + SOME - 1, #values)) end

-- Whether a started job is this execution's. One that names none was claimed by a build that kept a hash of each: it
-- was begun if that is there, or if an earlier try of such a build broke off without it. Where RQ has deleted an
-- execution, it has deleted the job: one made anew under its id is another mail.
local function is_ours(id, execution, named, whole)
  if whole then return true end
  local index = ARGV[3] .. id
  return not string.match(named or '', '^[^-]')
    and (redis.call('EXISTS', index) == 0 or typed('ZSCORE', index, execution))
end

-- number: which of its group a settlement is; at: where it stands among the arguments.
local function settle(batch, group, number, at)
  if not group.ends then error('WRONGTYPE ' .. group.queue.leases .. ' is not of its type', 0) end
  local id, action, lease = ARGV[at], group.action, group.ends[number]
  local held = lease and (not group.overdue or tonumber(lease) <= batch.now)
  if not held and action ~= 'sent' then return 'lost' end
  -- That its worker has asked SES for none of its entries is true only as long as it has shed none (split.lua).
  local entries = action == 'back' and string.match(ARGV[at + 3], '^=(%d+)$')
  if entries and typed('HGET', ARGV[1] .. id, RECIPIENTS_FIELD) ~= entries then return 'lost' end

  local old
  if action == 'sent' then
    old = typed('HMGET', ARGV[1] .. id, 'status', ARGV[6], 'created_at', 'enqueued_at', 'started_at', 'origin',
      'description', 'result_ttl', ARGV[7])
  else
    old = typed('HMGET', ARGV[1] .. id, 'status', ARGV[6], ACCEPTED_FIELD)
  end
  local hash = ARGV[2] .. group.members[number]
  local whole = held and old and (old[2] == ARGV[at + 1] or redis.call('EXISTS', hash) == 1)
  local word = 'vanished'
  batch.spoilt = false
  if held and old and old[1] == 'started' and is_ours(id, ARGV[at + 1], old[2], whole) then
    if action ~= 'sent' and old[3] then
      write_told(batch, group, at, id, old[3])
      word = 'told'
    else
      write[action](batch, group, at, id, old)
      word = 'done'
    end
    if group.entries then count_entries(batch, group, word) end
  elseif old and old[1] then
    word = contested(batch, group, at, id, held, whole, old)
    if group.entries and (word == 'late' or word == 'accepted') then count_entries(batch, group, word) end
  end
  if held then
    local queue = group.queue
    local n = #queue.over + 1
    queue.over[n], queue.jobs[n], queue.hashes[n] = group.members[number], id, hash
  end
  return batch.spoilt and 'broken' or word
end

-- One job whose keys somebody has spoilt must not keep its batch from being settled. What the server refuses to all is
-- an error, and the batch is tried again: but first each is written as far as it can be, for a mail whose receipt could
-- be written isn't sent again.
local function refused(reason)
  for _, mark in ipairs({ 'OOM ', 'READONLY ', 'MISCONF ', 'NOREPLICAS ', 'NOPERM ', 'ACL failure in script',
    "The user executing the script can't" }) do
    if string.find(reason, mark, 1, true) then return true end
  end
  return false
end

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[2], KEYS[3])

local refusal, at = nil, 15
while at <= #ARGV do
  local place = tonumber(ARGV[at])
  local queue, key = queues[place], 4 + 7 * place
  if not queue then
    queue = { list = KEYS[key], started = KEYS[key + 1], leases = KEYS[key + 2], scheduled = KEYS[key + 3],
      finished = KEYS[key + 4], failed = KEYS[key + 5], canceled = KEYS[key + 6],
      -- of executions that are over: member, job, hash; scores and jobs that enter the finished registry, and which
      -- settlements these are
      over = {}, jobs = {}, hashes = {}, entering = {}, entered = {} }
    queues[place] = queue
  end
  local group = { queue = queue, overdue = ARGV[at + 1] == '1', action = ARGV[at + 2], meta = ARGV[at + 3],
    campaign = ARGV[at + 4], members = {}, ends = {} }
  local count, width = tonumber(ARGV[at + 6]), group.action == 'failed' and 5 or 4
  if group.campaign ~= '' then group.entries = tonumber(ARGV[at + 5]) end
  if batch.stream and (group.action == 'sent' or group.action == 'failed') then width = width + 1 end
  at = at + 7
  for number = 1, count do
    local one = at + (number - 1) * width
    group.members[number] = ARGV[one] .. ':' .. ARGV[one + 1]
  end
  for first = 1, count, SOME do
    local ends = typed('ZMSCORE', queue.leases, some(group.members, first))
    if not ends then
      group.ends = nil
      break
    end
    for i, score in ipairs(ends) do group.ends[first + i - 1] = score end
  end
  for number = 1, count do
    local fine, word = pcall(settle, batch, group, number, at)
    if not fine then
      local reason = type(word) == 'table' and word.err or tostring(word)
      if refused(reason) then refusal = reason end
      redis.call('DEL', KEYS[2], KEYS[3])
      batch.made, batch.result_ttl, word = {}, nil, 'broken'
    end
    batch.words[#batch.words + 1] = word
    at = at + width
  end
end

redis.call('DEL', KEYS[2], KEYS[3])
for _, queue in pairs(queues) do
  for at = 1, #queue.entering, SOME do
    if not typed('ZADD', queue.finished, some(queue.entering, at)) then
      for _, number in ipairs(queue.entered) do batch.words[number] = 'broken' end
    end
  end
  -- RQ's record of an execution is there only if its lease was renewed.
  local gone = 0
  for at = 1, #queue.hashes, SOME do gone = gone + redis.call('DEL', some(queue.hashes, at)) end
  for n, id in ipairs(gone > 0 and queue.jobs or {}) do
    typed('ZREM', ARGV[3] .. id, string.sub(queue.over[n], #id + 2))
  end
  for at = 1, #queue.over, SOME do typed('ZREM', queue.started, some(queue.over, at)) end
  for at = 1, #queue.over, SOME do typed('ZREM', queue.leases, some(queue.over, at)) end
end

count_all(batch)
if refusal then return redis.error_reply(refusal) end
for _, word in ipairs(batch.words) do
  if word ~= 'done' then return batch.words end
end
return 'done'
