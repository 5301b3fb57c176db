-- claim: take queued jobs, as far as the account's gate lets them pass, and lease each to one execution. (typed.lua,
-- gate.lua, passing.lua, execution.lua, campaigns.lua, queues.lua, saved.lua; FIELDs and so on: contract.LUA_CONSTANTS)
--
-- KEYS  1 RQ's suspension flag   2 the suppression list's mark   then the lists of all queues, and last the account's
--       hash (gate.lua) and a scratch key
-- ARGV  1 jobs wanted   2 worker name   3 now, in RQ's date form   4 lease, s   5 what all keys begin with
--       6 the executions' id, but for its last digit: no claim before had it
--       7 recipients a second ("": what SES says)   8 "1": this worker can ask SES for the account's limits
--       9 entries of a bulk job at most
--       and in a partition, whose account has its gate elsewhere (grant.lua):
--       10 tokens for recipients   11 "1": the day has no more than these   12 "1": the first mail is the probe
--       13 the job that was probed with last   14 entries of a bulk job at most, by the account's rate ("": any number)
-- Reply what the key of RQ's suspension holds, or { moment and ids, dates, data, place, listed } and, where one of
--       these isn't 0 or empty { …, changes, more, dropped, aside, word, microseconds, waiting, ask, troubled,
--       opened }, and in a partition, whose list stands where the gate does, also tokens left, and how many the next
--       mail takes
--       moment and ids: the server's time (seconds, microseconds) and the ids of the jobs that are handed out, between
--       blanks; dates: enqueued_at of each, all of DATE_SIZE; data: of each, a list
--       place: of the first one's queue; changes: numbers of jobs (from 0) that are of another queue than the one
--       before, each with the queue's place
--       listed: 1 if addresses are suppressed
--       more: of each job that isn't usual its number, whether RQ has blanked started_at (a new or requeued job, as the
--       usual ones), whether it carries callbacks or webhooks, of a bulk job the entries that may be sent, and 128 more
--       if a split of it isn't complete, its meta and its enqueued_at
--       dropped: ids that RQ wouldn't make, or whose hash is gone, isn't a job, or isn't queued (canceled, or in the
--       list twice); aside: jobs of campaigns that are paused or canceled, which were set aside
--       word: why less than wanted was handed out: "" (there was no more), rate, quota, asking (SES is being
--       asked for the account's rate), open, manual, probing (the one probe is being made elsewhere), probe
--       (the one job handed out is the probe); microseconds: how long that lasts; waiting: jobs that wait
--       ask: 1 if this worker shall ask SES for the account's limits; troubled: attempts that failed in a
--       row; opened: how often the breaker has opened
--       An execution's id ends in 1 if the job was a new or requeued one, else in 0 (records.py).
--       A queue one of whose keys isn't of RQ's type is passed over; that is an error if nothing else was claimed.
--       In a partition "rate" says that tokens are out; of the account's hash it uses the order of the queues alone.
--
-- Leases are written first, then each job begins, then the account's numbers, and ids leave their list last. Broken
-- off, it leaves leases that run out, and ids in the list that are started, or queued still. An execution has begun
-- once its job names it: what no job names must not be sent. Its hash and its place in the job's index come with the
-- first renewal (renew.lua): most mails are sent before.
--
-- What is rare stands where it is met, or in a function that captures nothing: each call makes all functions anew, and
-- each table that it needs. Locals cost nothing, and less than what is global.

local redis, KEYS, ARGV, string, math = redis, KEYS, ARGV, string, math
local root, places, account_key = ARGV[5], #KEYS - 4, KEYS[#KEYS - 1]
-- wanted, room: jobs and bytes that it may still take
local wanted, room = ARGV[1] + 0, CLAIM_BYTES
local word, wait, ask, changed = '', 0, 0, false

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[#KEYS])
local time = redis.call('TIME')
local now, lease = time[1] + time[2] / 1000000, ARGV[4] + 0
local account = typed('HMGET', account_key, 'flow', 'state', 'fails', 'opened')
if not account then return no_hash(account_key) end
local flow = read_flow(account[1])
flow.fixed = ARGV[7] ~= '' and tonumber(ARGV[7]) or 0

-- place: of the queue from which the next comes; filled: how many have jobs; queues: those whose lists were looked at
-- Together: most of the time one is there, the list of a queue.
local there, listed, filled = redis.call('EXISTS', unpack(KEYS, 1, 2 + places)), 0, 1
local queues = {}
local place = there == 1 and find_alone(queues, root, places, wanted, flow.preferred) or nil
if there == 0 then
  filled = 0
elseif not place then
  listed = redis.call('EXISTS', KEYS[1], KEYS[2])
  if listed > 0 and redis.call('EXISTS', KEYS[1]) == 1 then
    local by = redis.pcall('GET', KEYS[1])
    return type(by) == 'string' and by or 'suspended'
  end
  filled = there - listed
  if filled == 1 then place = find_alone(queues, root, places, wanted, flow.preferred) end
end

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
    local says, detail = breaker_says(account_key, account[2], now, function(member)
      local seconds = 0
      for each = 3, 2 + places do
        local ends = typed('ZSCORE', root .. 'ses:leases:' .. string.sub(KEYS[each], #root + 7), member)
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

-- The jobs

-- Where more than one queue has jobs: first: the first of them; price: as next_place has it; lengths: of all
-- spoilt: a key that isn't of RQ's type
local first, price, lengths, spoilt = place, 0, nil, nil
if filled > 1 and wanted > 0 then
  lengths = {}
  for each = 0, places - 1 do
    lengths[each] = typed('LLEN', KEYS[3 + each])
    if not lengths[each] then lengths[each], spoilt = 0, KEYS[3 + each] end
  end
end
local lease_end = lease_moment(now + lease, lease)
local started_end = lease_moment(now + lease + CLEANUP_GRACE, CLEANUP_GRACE)
local execution = ARGV[6] .. '1'
-- Of the jobs that are handed out: ids also has each id as a name.
local claimed, recipients, ids, dates, data = 0, 0, {}, {}, {}
-- saved, again: numbers of those that RQ has saved, and of those that were tried before; more, changes: as in the reply
local saved, again, more, changes, first_place, last_place
local dropped, aside, skipped, need, bulk = 0, 0, false, 1, nil

while wanted > 0 and room > 0 and aside < 500 do
  local passed, preferred, turn
  if lengths then
    passed, preferred, turn = flow.passed, flow.preferred, flow.turn
    place, first, price = next_place(flow, lengths, places)
  end
  if not place then break end
  local queue = queues[place]
  local id, second = queue and queue.ids[queue.at] or read_on(queues, place, root, wanted), nil
  queue = queues[place]
  if probing and id and id == last_probe then
    -- A mail that fails whatever SES is like must not keep the breaker open: another is tried first.
    second = redis.call('LINDEX', queue.list, queue.taken + 1)
    if second then
      id = second
    elseif lengths then
      for other = 0, places - 1 do
        if other ~= place and lengths[other] > 0 then id = nil end
      end
    end
  end
  if not id then
    if not lengths then break end
    lengths[place] = 0
  else
    local job, hash, weight, entries, reason, seconds = root .. 'job:' .. id, nil, 1, 0, nil, nil
    if not ids[id] and (string.match(id, '^%w+$') or string.match(id, '^[%w_-]+$')) then
      hash = redis.pcall('HMGET', job, 'status', 'data', 'meta', 'started_at', RECIPIENTS_FIELD, 'enqueued_at')
      if hash.err then hash = judged(hash) end
      if hash and (hash[1] ~= 'queued' or not hash[2]) then hash = nil end
    end
    -- Most mails have one recipient, and needn't be asked for a campaign.
    if hash and hash[5] then
      weight = math.min(50, math.max(1, tonumber(hash[5]) or 1))
      local campaign = redis.call('HGET', job, CAMPAIGN_FIELD)
      if campaign then
        bulk = bulk or campaigns_of(root, now, ARGV[3])
        if bulk.hold(campaign, weight, id, queue.list) then
          -- Its id goes as those of dropped jobs do, but it is none.
          hash, dropped, aside = nil, dropped - 1, aside + 1
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
      if reason == 'rate' or place == first then
        word, wait = reason, seconds
        break
      end
      -- The turn of a heavy one may have to wait for hours: more urgent ones that are lighter go before it.
      for lower = place, places - 1 do lengths[lower] = 0 end
      skipped = true
    else
      if lengths then lengths[place] = lengths[place] - 1 end
      -- The id leaves the list at the end.
      if second then
        queue.second = id
      else
        queue.at, queue.taken = queue.at + 1, queue.taken + 1
      end
      if hash then
        claimed, recipients, wanted, room = claimed + 1, recipients + weight, wanted - 1, room - #hash[2]
        local members, own, hooks, date = queue.members, execution, 0, hash[6] or ''
        local at = #members
        if hash[4] then
          saved = saved or {}
          saved[claimed], hooks = true, read_saved(job, root, queue.leases, id, lease)
          if hash[4] ~= '' then
            again, own = again or {}, ARGV[6] .. '0'
            again[claimed] = own
          end
        end
        if own ~= execution or hooks == 1 or entries > 0 or hash[3] or #date ~= DATE_SIZE then
          more = more or {}
          more[#more + 1] = { claimed - 1, own == execution and 1 or 0, hooks, entries, hash[3] or '',
            string.sub(date, 1, 40) }
          date = string.rep(' ', DATE_SIZE)
        end
        if place ~= last_place then
          if last_place then
            changes = changes or {}
            changes[#changes + 1], changes[#changes + 2] = claimed - 1, place
          end
          first_place, last_place = first_place or place, place
        end
        ids[claimed], ids[id], dates[claimed], data[claimed] = id, true, date, hash[2]
        members[at + 1], members[at + 2] = lease_end, id .. ':' .. own
        if weight > 1 and lengths then flow.passed = math.max(-350, flow.passed + price * (weight - 1)) end
        if allowed then flow.tokens = flow.tokens - weight end
        if granted then granted = granted - weight end
        if left then left = left - weight end
      else
        dropped = dropped + 1
        if second then cut(queue) end
      end
    end
  end
end

-- What is written

for _, queue in pairs(queues) do
  local members = queue.members
  -- So many at a time as Lua can hand over.
  for at = 1, #members, 2000 do
    local last = math.min(at + 1999, #members)
    redis.call('ZADD', queue.leases, unpack(members, at, last))
    for score = at, last, 2 do members[score] = started_end end
    redis.call('ZADD', queue.started, unpack(members, at, last))
  end
end
-- RQ's requeue leaves the time to live of a failed mail. Before any is begun, should this right be missing.
for number in pairs(saved or {}) do redis.call('PERSIST', root .. 'job:' .. ids[number]) end
for number = 1, claimed do
  local id, own = ids[number], again and again[number] or execution
  if saved and saved[number] then tell_older(root, id, own, ARGV[2], now, started_end, lease) end
  redis.call('HSET', root .. 'job:' .. id, 'status', 'started', 'started_at', ARGV[3], 'last_heartbeat', ARGV[3],
    'worker_name', ARGV[2], EXECUTION_FIELD, own)
  if probing then
    word = 'probe'
    if not elsewhere then
      redis.call('HSET', account_key, 'state', 'half-open', 'probe', id .. ':' .. own, 'probe_until', lease_end,
        'last_probe', id)
    end
  end
end

if skipped and word == '' and wanted > 0 and room > 0 then word, wait = 'quota', DAY_LOOK end
if word == 'quota' and asks and ask_of_day(flow) then changed = true end
if claimed > 0 then
  if places > 1 and not lengths then flow.passed, flow.preferred = 0, place end
  local mails, all_recipients = flow.mails, flow.recipients
  flow.mails, flow.recipients = mails + claimed, all_recipients + recipients
  keep_pace(flow, now, mails, all_recipients)
  changed = not elsewhere or places > 1
end
if changed then redis.call('HSET', account_key, 'flow', packed_flow(flow)) end
for _, queue in pairs(queues) do cut(queue) end
if bulk then bulk.count() end
local waiting = 0
if elsewhere or (word ~= '' and word ~= 'probe') then
  for each = 3, 2 + places do waiting = waiting + (typed('LLEN', KEYS[each]) or 0) end
end
if claimed == 0 then
  for _, queue in pairs(queues) do spoilt = queue.spoilt or spoilt end
  if spoilt then return redis.error_reply('WRONGTYPE ' .. spoilt .. ' is not of its type: delete it') end
end
-- Told only where something is unusual. Outside a partition nothing is granted, and the last two are missing.
local troubled, opened = account[3] ~= '0' and account[3] or nil, account[4]
local text = time[1] .. ' ' .. time[2] .. ' ' .. table.concat(ids, ' ')
local reply = { text, table.concat(dates), data, first_place or 0, listed }
if more or changes or dropped > 0 or aside > 0 or word ~= '' or ask > 0 or troubled or opened or elsewhere then
  for _, value in ipairs({ changes or {}, more or {}, dropped, aside, word,
    math.ceil(math.min(LONGEST_WAIT, wait) * 1000000), waiting, ask, tonumber(troubled or 0) or 0,
    tonumber(opened or 0) or 0, granted, need }) do reply[#reply + 1] = value end
end
return reply
