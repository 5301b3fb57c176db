-- settle: write how executions ended, each only if it is still the one its job is started by. Settling twice changes
-- nothing. (typed.lua, outcome.lua, finish.lua, receipt.lua, contested.lua, counting.lua)
--
-- KEYS  1, 2 scratch keys
--       then for each queue that the settlements speak of: its list, its started registry, its leases, its finished
--       registry
-- ARGV  1 prefix of RQ's keys   2 worker name   3 the stream of outcomes, and 4 entries that it holds at most; "":
--       nobody is told
--       then for each group of settlements: the queue's place among KEYS, what is asked of the leases ("overdue": each
--       only if its own has run out, for its worker died; "lapsed": only if it is there; "": nothing, if the job says
--       enough), their action, their meta (JSON text; "": the jobs' stay as they are), the campaign of bulk jobs ("":
--       they are mails), how many entries each has, how many they are,
--       and for each: id, execution, when it ended (RQ's date form), and a value of its action's own:
--         sent    result (as RQ's Result has it)
--         retry   seconds until it is due
--         failed  exc (a line), and exc_string (as RQ's Result has it)
--         back    into the front of the queue; "1": as if it had never been claimed; "=N": only if it has N entries still
--       if somebody is told, of each that is sent or failed the outcome, too (JSON)
-- Reply one word a settlement, or "done" for all of them:
--       done      written, now or by an earlier try whose reply was lost
--       late      its lease had gone, but nobody had started the mail again: "sent" was written
--       lost      its lease had gone: another has taken the mail, or ended it; nothing written
--       canceled  canceled while it was being sent; it stays canceled, its meta tells the outcome
--       accepted  canceled while it was being sent, but SES has it: "sent" was written, with a note in its meta
--       told      not sent by this attempt, but an event tells that SES has accepted it: "sent" was written
--       vanished  its hash is gone (deleted while it was being sent)
--       broken    one of its keys isn't of RQ's type; what could be written was. One that has no place to go to
--                 keeps its lease, and is reclaimed when that runs out
--
-- That a job is started, and names the execution, says that nobody else has ended it: only where it doesn't are the
-- leases asked, and where its worker isn't sure of its own: builds before this take a job over and leave the name.
-- A mail's new place is written first, then its hash changes and names the execution as over, and its lease goes last.
-- A receipt takes the hash's place, and then its own. So a mail stands somewhere wherever the script breaks off; and
-- what is settled again is only completed.

local batch = new_batch()
local queues, write = {}, { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }

-- What a batch puts into a sorted set, or takes out of it, goes in one command: so many values as Lua hands over.
local SOME = 2000

local function some(values, at) return unpack(values, at, math.min(at + SOME - 1, #values)) end

-- One that isn't simply the execution that its job is started by. A job that names none was claimed by a build that
-- kept a hash of each: it was begun if that is there, or if an earlier try of such a build broke off without it. Where
-- RQ has deleted an execution, it has deleted the job: one made anew under its id is another mail.
local function settle_other(batch, group, at, member, old)
  local id, action, execution, queue = ARGV[at], group.action, ARGV[at + 1], group.queue
  local lease = redis.call('ZSCORE', queue.leases, member)
  local held = lease and (group.asks ~= 'overdue' or tonumber(lease) <= batch.now)
  if not held and action ~= 'sent' then
    -- An earlier try of this very settlement may have written it.
    local written = old and old[2] == '-' .. execution and typed('HGET', batch.jobs .. id, 'ended_at') == ARGV[at + 2]
    return written and 'done' or 'lost'
  end
  local record, index = batch.root .. 'execution:' .. member, batch.root .. 'executions:' .. id
  local whole = held and old and (old[2] == execution or redis.call('EXISTS', record) == 1)
  local ours = held and old and old[1] == 'started' and (whole or not string.match(old[2] or '', '^[^-]')
    and (redis.call('EXISTS', index) == 0 or typed('ZSCORE', index, execution)))
  if ours then return nil, true end
  local word = 'vanished'
  if old and old[1] then
    word = contested(batch, group, at, id, held, whole, old)
    if group.entries and (word == 'late' or word == 'accepted') then count_entries(batch, group, word) end
  end
  return word, held
end

-- at: where a settlement stands among the arguments.
local function settle(batch, group, at)
  local id, execution, queue, sent = ARGV[at], ARGV[at + 1], group.queue, group.action == 'sent'
  local job, member = batch.jobs .. id, id .. ':' .. execution
  local old
  if sent then
    old = redis.pcall('HMGET', job, 'status', EXECUTION_FIELD, 'created_at', 'enqueued_at', 'started_at', 'description',
      'result_ttl', KEY_FIELD)
  else
    old = redis.pcall('HMGET', job, 'status', EXECUTION_FIELD, ACCEPTED_FIELD, 'worker_name')
    -- That its worker has asked SES for none of its entries is true only as long as it has shed none (split.lua).
    local entries = group.action == 'back' and string.match(ARGV[at + 3], '^=(%d+)$')
    if entries and typed('HGET', job, RECIPIENTS_FIELD) ~= entries then return 'lost' end
  end
  if old.err then old = judged(old) end
  local word, held = nil, true
  batch.spoilt = false
  -- A worker's clock told the past: another that leaves the name may have begun since. What it has in hand is no other's
  -- to put anywhere.
  if group.asks ~= '' or not old or old[2] ~= execution or old[1] ~= 'started'
    or not sent and old[4] ~= batch.worker then
    word, held = settle_other(batch, group, at, member, old)
  end
  if not word then
    if not sent and old[3] then
      write_told(batch, group, at, id, old[3])
      word = 'told'
    else
      write[group.action](batch, group, at, id, old)
    end
    if group.entries then count_entries(batch, group, word) end
  end
  if held then
    local n = #queue.over + 1
    queue.over[n], queue.jobs[n], queue.records[n] = member, id, batch.root .. 'execution:' .. member
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

-- Settle what is left of a group.
local function settle_group(batch, group)
  while group.at < group.past do
    local at = group.at
    group.at, batch.number = at + group.width, batch.number + 1
    local word = settle(batch, group, at)
    if word then batch.words[batch.number] = word end
  end
end

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[1], KEYS[2])

local refusal, at = nil, 5
while at <= #ARGV do
  local place = tonumber(ARGV[at])
  local queue = queues[place] or queue_at(batch, 3 + 4 * place)
  queues[place] = queue
  local group = { queue = queue, asks = ARGV[at + 1], action = ARGV[at + 2], meta = ARGV[at + 3],
    campaign = ARGV[at + 4], at = at + 7, width = ARGV[at + 2] == 'failed' and 5 or 4 }
  if group.campaign ~= '' then group.entries = tonumber(ARGV[at + 5]) end
  if batch.stream and (group.action == 'sent' or group.action == 'failed') then group.width = group.width + 1 end
  group.past = at + 7 + group.width * ARGV[at + 6]
  at = group.past
  while group.at < group.past do
    local fine, failure = pcall(settle_group, batch, group)
    if not fine then
      local reason = type(failure) == 'table' and failure.err or tostring(failure)
      if refused(reason) then refusal = reason end
      redis.call('DEL', KEYS[1], KEYS[2])
      batch.made, batch.result_ttl, batch.words[batch.number] = {}, nil, 'broken'
    end
  end
end

redis.call('DEL', KEYS[1], KEYS[2])
for _, queue in pairs(queues) do
  for at = 1, #queue.entering, SOME do
    if not typed('ZADD', queue.finished, some(queue.entering, at)) then
      for _, number in ipairs(queue.entered) do batch.words[number] = 'broken' end
    end
  end
  -- RQ's record of an execution is there only if its lease was renewed.
  local gone = 0
  for at = 1, #queue.records, SOME do gone = gone + redis.call('DEL', some(queue.records, at)) end
  for n, id in ipairs(gone > 0 and queue.jobs or {}) do
    typed('ZREM', batch.root .. 'executions:' .. id, string.sub(queue.over[n], #id + 2))
  end
  for at = 1, #queue.over, SOME do typed('ZREM', queue.started, some(queue.over, at)) end
  for at = 1, #queue.over, SOME do typed('ZREM', queue.leases, some(queue.over, at)) end
end

count_all(batch)
if refusal then return redis.error_reply(refusal) end
if not next(batch.words) then return 'done' end
for number = 1, batch.number do batch.words[number] = batch.words[number] or 'done' end
return batch.words
