-- claim: take queued jobs, as far as the account's gate lets them pass, and lease each to one execution. (typed.lua,
-- gate.lua, passing.lua, execution.lua, claiming.lua; names in capitals: contract.LUA_CONSTANTS)
--
-- KEYS  1 RQ's suspension flag   2 the suppression list's mark   3 the account's hash (gate.lua)   4 a scratch key
--       then the lists of all queues, their started registries, and their leases
-- ARGV  1 jobs wanted   2 worker name   3 now, in RQ's date form   4 lease, s   5 what all keys begin with
--       6 the executions' id, but for its last digit: no claim before had it   7 recipients a second ("": what SES says)
--       8 "1": this worker can ask SES for the account's limits   9 entries of a bulk job at most
--       and in a partition, whose account has its gate elsewhere (grant.lua):
--       10 tokens for recipients   11 "1": the day has no more than these   12 "1": the first mail is the probe
--       13 the job that was probed with last   14 entries of a bulk job at most, by the account's rate ("": any number)
-- Reply what the key of RQ's suspension holds, or { number of ids dropped, ids, dates, data, more, word, microseconds,
--       waiting, ask, troubled, opened, and the server's time: seconds, microseconds; 1 if addresses are suppressed;
--       jobs of campaigns that are paused or canceled, which were set aside; in a partition, whose list stands where the
--       gate does, also: tokens left, and how many the next mail takes }
--       ids: of the jobs that are handed out, blanks between them; before one that isn't of the same queue as the one
--       before stand its queue's place and a colon. dates: enqueued_at of each, all of DATE_SIZE.
--       data: of each, a list. more: of each that isn't usual its number (from 0), whether RQ has blanked started_at
--       (a new or requeued job, as the usual ones), whether it carries callbacks or webhooks, of a bulk job the entries
--       that may be sent, and 128 more if a split of it isn't complete, meta, enqueued_at.
--       An execution's id ends in 1 if the job was such a new one, else in 0 (records.py).
--       Dropped: an id that RQ wouldn't make, or whose hash is gone, isn't a job, or isn't queued (canceled,
--       or in the list twice).
--       A queue one of whose keys isn't of RQ's type is passed over; that is an error if nothing else was claimed.
--       word: why less than wanted was handed out: "" (there was no more), rate, quota, asking (SES is being
--       asked for the account's rate), open, manual, probing (the one probe is being made elsewhere), probe
--       (the one job handed out is the probe); microseconds: how long that lasts; waiting: jobs that wait
--       ask: 1 if this worker shall ask SES for the account's limits; troubled: attempts that failed in a
--       row; opened: how often the breaker has opened
--       In a partition "rate" says that tokens are out; of the account's hash it uses the order of the queues alone.
--
-- Leases are written first, then each job begins, then the account's numbers, and ids leave their list last: broken off,
-- it leaves leases that run out, and ids in the list that are started, or queued still. An execution has begun once its
-- job names it: what no job names must not be sent. Its hash and its place in the job's index come with the first
-- renewal (renew.lua): most mails are sent before.
--
-- What is rare stands where it is met, and not in functions: each costs every call, and what it captures costs more.

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[4])
-- Together: most of the time neither is there.
local marks = redis.call('EXISTS', KEYS[1], KEYS[2])
if marks > 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  local by = redis.pcall('GET', KEYS[1])
  return type(by) == 'string' and by or 'suspended'
end

local time = redis.call('TIME')
local now, lease = time[1] + time[2] / 1000000, tonumber(ARGV[4])
local account = typed('HMGET', KEYS[3], 'flow', 'state', 'fails', 'opened')
if not account then return no_hash(KEYS[3]) end
local flow, root, places = read_flow(account[1]), ARGV[5], (#KEYS - 4) / 3
flow.fixed = ARGV[7] ~= '' and tonumber(ARGV[7]) or 0
local LISTS, STARTED, LEASES = 5, 5 + places, 5 + 2 * places
-- wanted, room: jobs and bytes that it may still take
local wanted, room = tonumber(ARGV[1]), CLAIM_BYTES
local word, wait, ask, changed = '', 0, 0, false

-- The account

local granted = ARGV[10] and tonumber(ARGV[10])
local elsewhere, allowed, left, probing, last_probe = granted ~= nil, nil, nil, false, nil
local asks = ARGV[8] == '1' and not elsewhere

if elsewhere then
  if ARGV[11] == '1' then left = granted end
  probing, last_probe = ARGV[12] == '1', ARGV[13]
else
  allowed, left = allowance(flow, now), left_of_day(flow, now)
  if allowed then flow.tokens, flow.filled_at = fill(flow, allowed, now), now end
  if account[2] == 'open' or account[2] == 'half-open' then
    -- The lease of a probe that is renewed goes on beyond what the account's hash says, as far as its queue is ours.
    local says, detail = breaker_says(KEYS[3], account[2], now, function(member)
      local seconds = 0
      for place = 0, places - 1 do
        local ends = typed('ZSCORE', KEYS[LEASES + place], member)
        seconds = math.max(seconds, ends and tonumber(ends) - now or 0)
      end
      return seconds
    end)
    if says == 'probe' then
      probing, last_probe = true, detail
    else
      word, wait, wanted = says, detail, 0
    end
  end
end
if probing then wanted = math.min(1, wanted) end
if asks then
  local first
  ask, first = ask_duty(flow, now)
  changed = ask == 1
  if first and not probing and wanted > 0 then word, wait, wanted = 'asking', 0.02, 0 end
end

-- The queues

local spoilt  -- a key that isn't of RQ's type
local queues = {}

-- The next id of a queue that is there only once more of its list is read; nil if it has none that may be taken now.
local function read_on(queues, place, places, wanted)
  local queue = queues[place]
  if not queue then
    -- ids: what was read of the list last, the one at `at` is the next; taken: how many of the list are done with
    -- members: scores and members for its registries
    queue = { place = place, list = KEYS[5 + place], ids = {}, at = 1, taken = 0, chunk = 0, members = {} }
    queues[place] = queue
  end
  if queue.spoilt or #queue.ids < queue.chunk then return nil end
  local first = queue.chunk == 0
  queue.chunk, queue.at = math.min(1000, math.max(wanted, 2 * queue.chunk)), 1
  queue.ids = typed('LRANGE', queue.list, queue.taken, queue.taken + queue.chunk - 1)
  if not queue.ids then queue.ids, queue.spoilt = {}, queue.list end
  if first and #queue.ids > 0 then
    -- Were one of these of another type, the script would break off with a job in its hands.
    for registry = 1, 2 do
      local key = KEYS[5 + registry * places + place]
      if not typed('ZCARD', key) then queue.ids, queue.spoilt = {}, key end
    end
  end
  return queue.ids[1]
end

-- The order of the queues: the first that has jobs, but after seven recipients preferred to others one of those, by
-- turns. A bulk job, or a heavy mail, that has such a turn has had those of its other recipients, too: while they are
-- owed it is only queues above the last one that have turns. A queue more urgent than the last preferred goes before a
-- turn, so that an urgent mail is always the next.
-- Returns that queue, the first that has jobs, and what each further recipient of its mail adds to flow.passed.
local function next_place(flow, lengths, places)
  local more, first = false, nil
  for place = 0, places - 1 do
    if lengths[place] > 0 then
      more = first ~= nil
      if more then break end
      first = place
    end
  end
  if not more then
    flow.passed = 0
    return first, first, 0
  end
  if first >= flow.preferred and (flow.passed >= 7 or flow.passed < 0 and flow.passed % 7 == 0) then
    local others = {}
    for place = first + 1, places - 1 do
      if lengths[place] > 0 then others[#others + 1] = place end
    end
    if flow.passed < 0 then others[#others] = nil end
    if #others > 0 then
      local chosen = others[#others - flow.turn % #others]
      flow.passed, flow.turn = math.min(0, flow.passed + 1), (flow.turn + 1) % 5040
      return chosen, first, -7
    end
  end
  flow.passed, flow.preferred = flow.passed + 1, first
  return first, first, 1
end

-- What only a job may have that RQ has saved, or that was started before, and so has a started_at: callbacks and
-- webhooks, and an execution before this. Returns 1 where it has one of the former.
local function read_saved(job, root, leases, id, keep)
  local hash = redis.call('HMGET', job, EXECUTION_FIELD, 'success_callback_name', 'failure_callback_name',
    'stopped_callback_name', 'webhooks')
  local execution = string.match(hash[1] or '', '^[^-].*')
  -- A job that names an execution whose lease stands was requeued by RQ's means while it is being sent. What SES says
  -- to that must count as this job's, and not as one's that was deleted and made anew (settle.lua).
  if execution and typed('ZSCORE', leases, id .. ':' .. execution) then
    local record = root .. 'execution:' .. id .. ':' .. execution
    typed('HSETNX', record, 'id', execution)
    redis.call('EXPIRE', record, keep)
  end
  for field = 2, 5 do
    if (hash[field] or '') ~= '' then return 1 end
  end
  return 0
end

-- The list is cut at the end. second: the id behind the next, which was taken in its place.
local function cut(queue)
  if queue.second then redis.call('LREM', queue.list, 1, queue.second) end
  if queue.taken > 0 then redis.call('LTRIM', queue.list, queue.taken, -1) end
  queue.second, queue.taken = nil, 0
end

-- place: of the queue from which the next comes; lengths: of all, where more than one has jobs
local place, first, price, lengths = 0, 0, 0, nil
if places > 1 and wanted > 0 then
  local filled = redis.call('EXISTS', unpack(KEYS, LISTS, LISTS + places - 1))
  if filled == 1 then
    while place < places and not read_on(queues, place, places, wanted) do place = place + 1 end
    first = place
    if place == places then wanted = 0 end
  elseif filled == 0 then
    wanted = 0
  else
    lengths = {}
    for each = 0, places - 1 do
      lengths[each] = typed('LLEN', KEYS[LISTS + each])
      if not lengths[each] then lengths[each], spoilt = 0, KEYS[LISTS + each] end
    end
  end
end

-- The jobs

local lease_end = lease_moment(now + lease, lease)
local started_end = lease_moment(now + lease + CLEANUP_GRACE, CLEANUP_GRACE)
-- Seconds for which RQ's record of an execution is kept.
local keep = math.ceil(lease + CLEANUP_GRACE)
local fresh_execution, other_execution = ARGV[6] .. '1', nil
local claimed, dropped, recipients, skipped, need, bulk = 0, 0, 0, false, 1, nil
-- of the jobs that are handed out; saved, again: those that RQ has saved, and those that aren't fresh, by their numbers
local jobs, seen, ids, dates, data, more, saved, again = {}, {}, {}, {}, {}, {}, {}, {}
local told_place = nil

while wanted > 0 and room > 0 and not (bulk and bulk.aside >= 500) do
  local passed, preferred, turn = flow.passed, flow.preferred, flow.turn
  if lengths then
    place, first, price = next_place(flow, lengths, places)
    if not place then break end
  end
  local queue = queues[place]
  local id, second = queue and queue.ids[queue.at] or read_on(queues, place, places, wanted), nil
  queue = queues[place]
  if probing and id == last_probe and id then
    -- A mail that fails whatever SES is like must not keep the breaker open: another is tried first.
    second = redis.call('LINDEX', queue.list, queue.taken + 1)
    if second then
      id = second
    elseif lengths then
      for elsewhere = 0, places - 1 do
        if elsewhere ~= place and lengths[elsewhere] > 0 then id = nil end
      end
    end
  end
  if not id then
    if not lengths then break end
    lengths[place] = 0
  else
    local job, hash, weight, reason, seconds = root .. 'job:' .. id, nil, 1, nil, nil
    if not seen[id] and (string.match(id, '^%w+$') or string.match(id, '^[%w_-]+$')) then
      hash = redis.pcall('HMGET', job, 'status', 'data', 'meta', 'started_at', RECIPIENTS_FIELD, 'enqueued_at')
      if hash.err then
        if not string.find(hash.err, 'WRONGTYPE', 1, true) then error(hash.err, 0) end
        hash = nil
      elseif hash[1] ~= 'queued' or not hash[2] then
        hash = nil
      end
    end
    local entries = 0
    -- Most mails have one recipient, and needn't be asked for a campaign.
    if hash and hash[5] then
      weight = math.min(50, math.max(1, tonumber(hash[5]) or 1))
      local campaign = redis.call('HGET', job, CAMPAIGN_FIELD)
      if campaign then
        bulk = bulk or campaigns_of(root, now, ARGV[3])
        if bulk.hold(campaign, weight, id, queue.list) then
          hash, dropped = nil, dropped - 1
        else
          local most = allowed and allowed / 2 or tonumber(ARGV[14] or '')
          weight = probing and 1 or bulk.portion(campaign, math.min(weight, tonumber(ARGV[9])), most, left)
          entries = weight + 128 * redis.call('HEXISTS', job, PARTS_FIELD)
        end
      end
    end
    -- Why a job of this weight has to wait, and for how long.
    if hash and not probing then
      if left and left < weight then
        reason, seconds = 'quota', DAY_LOOK
      elseif granted and granted < weight then
        reason, seconds, need = 'rate', 0, weight
      elseif allowed then
        seconds = until_token(flow, wanted, allowed)
        reason = seconds and 'rate'
      end
    end
    if lengths and (reason or not hash) then flow.passed, flow.preferred, flow.turn = passed, preferred, turn end
    if reason then
      if reason == 'rate' or not lengths or place == first then
        word, wait = reason, seconds
        break
      end
      -- The turn of a heavy one may have to wait for hours: more urgent ones that are lighter go before it.
      for lower = place, places - 1 do lengths[lower] = 0 end
      skipped = true
    else
      if lengths then lengths[place] = lengths[place] - 1 end
      -- What `id` is done with leaves the list at the end.
      if second then
        queue.second = id
      else
        queue.at, queue.taken = queue.at + 1, queue.taken + 1
      end
      if not hash then
        dropped = dropped + 1
        if second then cut(queue) end
      else
        claimed, wanted, room, recipients = claimed + 1, wanted - 1, room - #hash[2], recipients + weight
        local execution, fresh, hooks, date = fresh_execution, 1, 0, hash[6] or ''
        if hash[4] then
          if hash[4] ~= '' then
            fresh, execution = 0, other_execution or ARGV[6] .. '0'
            other_execution, again[claimed] = execution, true
          end
          hooks, saved[claimed] = read_saved(job, root, KEYS[LEASES + place], id, keep), true
        end
        local members = queue.members
        members[#members + 1] = lease_end
        members[#members + 1] = id .. ':' .. execution
        seen[id], jobs[claimed], data[claimed] = true, job, hash[2]
        if place ~= told_place then
          ids[claimed], told_place = string.format('%d:%s', place, id), place
        else
          ids[claimed] = id
        end
        if fresh == 0 or hooks == 1 or entries > 0 or hash[3] or #date ~= DATE_SIZE then
          more[#more + 1] = { claimed - 1, fresh, hooks, entries, hash[3] or '', string.sub(date, 1, 40) }
          date = string.rep(' ', DATE_SIZE)
        end
        dates[claimed] = date
        if weight > 1 and lengths then flow.passed = math.max(-350, flow.passed + price * (weight - 1)) end
        if allowed then flow.tokens = flow.tokens - weight end
        if granted then granted = granted - weight end
        if left then left = left - weight end
      end
    end
  end
end

for _, queue in pairs(queues) do
  -- So many at a time as Lua can hand over.
  for at = 1, #queue.members, 2000 do
    local members, last = queue.members, math.min(at + 1999, #queue.members)
    redis.call('ZADD', KEYS[LEASES + queue.place], unpack(members, at, last))
    for score = at, last, 2 do members[score] = started_end end
    redis.call('ZADD', KEYS[STARTED + queue.place], unpack(members, at, last))
  end
end
-- RQ's requeue leaves the time to live of a failed mail. Before any is begun, should this right be missing.
for number in pairs(saved) do redis.call('PERSIST', jobs[number]) end
for number = 1, claimed do
  local execution = again[number] and other_execution or fresh_execution
  if saved[number] then
    -- Where RQ's index of a job's executions is left from a stock worker that died, builds before take one that isn't in
    -- it for another job's: so it gets in, with its hash, as theirs do.
    local id = string.sub(jobs[number], #root + 5)
    local index = root .. 'executions:' .. id
    if redis.call('EXISTS', index) == 1 then
      record(root .. 'execution:' .. id .. ':' .. execution, index, id, execution, ARGV[2], now, now, started_end, keep)
    end
  end
  redis.call('HSET', jobs[number], 'status', 'started', 'started_at', ARGV[3], 'last_heartbeat', ARGV[3], 'worker_name',
    ARGV[2], EXECUTION_FIELD, execution)
  if probing then
    word = 'probe'
    if not elsewhere then
      local id = string.sub(jobs[number], #root + 5)
      redis.call('HSET', KEYS[3], 'state', 'half-open', 'probe', id .. ':' .. execution, 'probe_until', lease_end,
        'last_probe', id)
    end
  end
end

if skipped and word == '' and wanted > 0 and room > 0 then word, wait = 'quota', DAY_LOOK end
if word == 'quota' and asks and ask_of_day(flow) then changed = true end
if claimed > 0 then
  if places > 1 and not lengths then flow.passed = 0 end
  local mails, all_recipients = flow.mails, flow.recipients
  flow.mails, flow.recipients = mails + claimed, all_recipients + recipients
  keep_pace(flow, now, mails, all_recipients)
  changed = not elsewhere or places > 1
end
if changed then redis.call('HSET', KEYS[3], 'flow', packed_flow(flow)) end
for _, queue in pairs(queues) do cut(queue) end
if bulk then bulk.count() end
local waiting = 0
if elsewhere or (word ~= '' and word ~= 'probe') then
  for place = 0, places - 1 do waiting = waiting + (typed('LLEN', KEYS[LISTS + place]) or 0) end
end
if claimed == 0 then
  for _, queue in pairs(queues) do spoilt = queue.spoilt or spoilt end
  if spoilt then return redis.error_reply('WRONGTYPE ' .. spoilt .. ' is not of its type: delete it') end
end
return { dropped, table.concat(ids, ' '), table.concat(dates), data, more, word,
  math.ceil(math.min(LONGEST_WAIT, wait) * 1000000), waiting, ask, tonumber(account[3]) or 0, tonumber(account[4]) or 0,
  time[1], time[2], marks, bulk and bulk.aside or 0, granted, need }
