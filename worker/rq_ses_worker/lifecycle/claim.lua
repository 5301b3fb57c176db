-- claim: take queued jobs, as far as the account's gate lets them pass, and lease each to one execution. (typed.lua,
-- gate.lua, passing.lua, execution.lua, claiming.lua)
--
-- KEYS  1 RQ's suspension flag   2 the account's hash (gate.lua)   3 a scratch key
--       then for each queue: its list, its started registry, its leases; and last the suppression list's mark
-- ARGV  1 jobs wanted   2 bytes of data after which to stop   3 worker name   4 now, in RQ's date form
--       5 lease, s   6 grace, s: RQ's own clean-up of the started registry comes that much after the lease
--       7 prefix of the execution ids   8 number of the first one   9 prefix of the keys of jobs
--       10 field of a job's hash with the execution it is started by
--       11 field of a job's hash with its number of recipients (1 without it)
--       12 recipients a second ("": what SES says)   13 "1": this worker can ask SES for the account's limits
--       14 field of a bulk job's hash with its campaign   15 entries of one at most
--       16 seconds for which a job of a canceled campaign is kept   17 field with what is left of a split (split.lua)
--       and in a partition, whose account has its gate elsewhere (grant.lua):
--       18 tokens for recipients   19 "1": the day has no more than these   20 "1": the first mail is the probe
--       21 the job that was probed with last   22 entries of a bulk job at most, by the account's rate
-- Reply what the key of RQ's suspension holds, or { number of ids dropped, blob, word, microseconds, waiting, ask, troubled, opened, and the
--       server's time: seconds, microseconds; 1 if addresses are suppressed; jobs of campaigns that are paused or canceled,
--       which were set aside; in a partition, whose list stands where the gate does, also: tokens left, and how many the
--       next mail takes }
--       blob: of each job a head (queue's place, 1 where RQ has blanked started_at (a new or requeued job), 1
--       where it carries callbacks or webhooks, of a bulk job the entries that may be sent, and 128 more if a split of
--       it isn't complete, lengths of the rest) and id, data, meta, enqueued_at.
--       An execution's id is the prefix, its number (counted on in the order of the blob) in hexadecimal
--       digits, and the fresh digit (records.py).
--       Dropped: an id that RQ wouldn't make, or whose hash is gone, isn't a job, or isn't queued (canceled,
--       or in the list twice).
--       A queue one of whose keys isn't of RQ's type is passed over; that is an error if nothing else was claimed.
--       Ids leave their list last: broken off, it leaves leases that run out, and ids in the list that are started,
--       or queued still. An execution has begun once its job names it: what no job names must not be sent.
--       Its hash and its place in the job's index come with the first renewal (renew.lua): most mails are sent before.
--       word: why less than wanted was handed out: "" (there was no more), rate, quota, asking (SES is being
--       asked for the account's rate), open, manual, probing (the one probe is being made elsewhere), probe
--       (the one job handed out is the probe); microseconds: how long that lasts; waiting: jobs that wait
--       ask: 1 if this worker shall ask SES for the account's limits; troubled: attempts that failed in a
--       row; opened: how often the breaker has opened
--       In a partition "rate" says that tokens are out; of the account's hash it uses the order of the queues alone.

-- What a claim has in hand stands in one table that functions are given: every local that one captures would cost each
-- call, and most claim few mails.

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[3])
-- Together: most of the time neither is there.
local there = redis.call('EXISTS', KEYS[1], KEYS[#KEYS])
if there > 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  local by = redis.pcall('GET', KEYS[1])
  return type(by) == 'string' and by or 'suspended'
end

local time = redis.call('TIME')
local now, lease, grace = time[1] + time[2] / 1000000, tonumber(ARGV[5]), tonumber(ARGV[6])
local account = typed('HMGET', KEYS[2], 'flow', 'state', 'fails', 'opened')
if not account then return no_hash(KEYS[2]) end

local it = {
  flow = read_flow(account[1]), now = now, lease_end = lease_moment(now + lease, lease),
  -- wanted, room: jobs and bytes that it may still take; number: of the next execution
  wanted = tonumber(ARGV[1]), room = tonumber(ARGV[2]), number = tonumber(ARGV[8]), claimed = 0,
  places = (#KEYS - 4) / 3, queues = {}, lengths = {}, parts = {},
  -- the jobs that are handed out, the execution of each, and which of them RQ has saved; all ids met
  chosen = {}, executions = {}, saved = {}, seen = {},
  granted = ARGV[18] and tonumber(ARGV[18]), need = 1, word = '', wait = 0, probing = false,
  -- campaigns that are met, and their states; aside: jobs that were set aside; canceled: entries, by campaign
  campaigns = {}, aside = 0, canceled = {},
}
local flow, granted_elsewhere = it.flow, it.granted ~= nil
flow.fixed = tonumber(ARGV[12]) or 0
local mails_before, recipients_before = flow.mails, flow.recipients

-- The account

if granted_elsewhere then
  it.left = ARGV[19] == '1' and it.granted or nil
else
  it.allowed, it.left = allowance(flow, now), left_of_day(flow, now)
  if it.allowed then flow.tokens, flow.filled_at = fill(flow, it.allowed, now), now end
end
local ask, changed = 0, false

local function close(it, reason, seconds)
  it.word, it.wait, it.wanted = reason, seconds, 0
end

local function probe(it, last)
  it.probing, it.last_probe, it.wanted = true, last, math.min(1, it.wanted)
end

if granted_elsewhere then
  if ARGV[20] == '1' then probe(it, ARGV[21]) end
elseif account[2] == 'open' or account[2] == 'half-open' then
  -- The lease of a probe that is renewed goes on beyond what the account's hash says, as far as its queue is ours.
  local says, detail = breaker_says(KEYS[2], account[2], now, function(member)
    local seconds = 0
    for place = 0, it.places - 1 do
      local ends = typed('ZSCORE', KEYS[6 + place * 3], member)
      seconds = math.max(seconds, ends and tonumber(ends) - now or 0)
    end
    return seconds
  end)
  if says == 'probe' then probe(it, detail) else close(it, says, detail) end
end

if ARGV[13] == '1' and not granted_elsewhere then
  local first
  ask, first = ask_duty(flow, now)
  changed = ask == 1
  if first and not it.probing and it.wanted > 0 then close(it, 'asking', 0.02) end
end

-- The order of the queues: the first that has jobs, but after seven recipients preferred to others one of those, by
-- turns. A bulk job, or a heavy mail, that has such a turn has had those of its other recipients, too: while they are
-- owed it is only queues above the last one that have turns. A queue more urgent than the last preferred goes before a
-- turn, so that an urgent mail is always the next.

if it.places > 1 then
  for place = 0, it.places - 1 do
    it.lengths[place] = typed('LLEN', KEYS[4 + place * 3])
    if not it.lengths[place] then it.lengths[place], it.spoilt = 0, KEYS[4 + place * 3] end
  end
end

local function next_place(it)
  if it.places == 1 then return 0 end
  local flow, lengths, more, first = it.flow, it.lengths, false, nil
  for place = 0, it.places - 1 do
    if lengths[place] > 0 then
      more = first ~= nil
      if more then break end
      first = place
    end
  end
  it.first, it.price = first, 0
  if not more then
    flow.passed = 0
    return first
  end
  if first >= flow.preferred and (flow.passed >= 7 or flow.passed < 0 and flow.passed % 7 == 0) then
    local others = {}
    for place = first + 1, it.places - 1 do
      if lengths[place] > 0 then others[#others + 1] = place end
    end
    if flow.passed < 0 then others[#others] = nil end
    if #others > 0 then
      local chosen = others[#others - flow.turn % #others]
      flow.passed, flow.turn, it.price = math.min(0, flow.passed + 1), (flow.turn + 1) % 5040, -7
      return chosen
    end
  end
  flow.passed, flow.preferred, it.price = flow.passed + 1, first, 1
  return first
end

-- Why a job of this weight has to wait, and for how long; nil if it may pass.
local function refusal(it, weight)
  if it.probing then return nil end
  if it.left and it.left < weight then return 'quota', DAY_LOOK end
  if it.granted then
    if it.granted >= weight then return nil end
    it.need = weight
    return 'rate', 0
  end
  local seconds = it.allowed and until_token(it.flow, it.wanted, it.allowed)
  if seconds then return 'rate', seconds end
end

-- Were one of a queue's keys of another type, the script would break off with a job in its hands.
local function usable(it, queue)
  if queue.sound == nil then
    local wrong = not typed('ZCARD', queue.started) and queue.started
      or not typed('ZCARD', queue.leases) and queue.leases
    queue.sound, it.spoilt = not wrong, wrong or it.spoilt
  end
  return queue.sound
end

-- The next id of a queue; nil if it has none that may be taken now. Second: it is the one behind that.
local function look(it, place)
  local queue = it.queues[place]
  if not queue then
    -- ids: the next of the list, the one at `at` first, read but not taken; taken: how many before that are done with
    -- leased, begun: scores and members for its registries
    queue = { list = KEYS[4 + place * 3], started = KEYS[5 + place * 3], leases = KEYS[6 + place * 3], ids = {}, at = 1,
      taken = 0, chunk = 0, leased = {}, begun = {} }
    it.queues[place] = queue
  end
  if queue.at > #queue.ids then
    queue.chunk = math.min(1000, math.max(it.wanted, 2 * queue.chunk))
    queue.ids, queue.at = typed('LRANGE', queue.list, queue.taken, queue.taken + queue.chunk - 1), 1
    if not queue.ids then queue.ids, it.spoilt = {}, queue.list end
    if #queue.ids == 0 or not usable(it, queue) then return nil end
  end
  local id = queue.ids[queue.at]
  if not it.probing or not id or id ~= it.last_probe then return id end
  -- A mail that fails whatever SES is like must not keep the breaker open: another is tried first.
  local other = redis.call('LINDEX', queue.list, queue.taken + 1)
  if other then return other, true end
  for elsewhere = 0, it.places - 1 do
    if it.places > 1 and elsewhere ~= place and it.lengths[elsewhere] > 0 then return nil end
  end
  return id
end

-- Be done with what `look` has found; the list is cut at the end.
local function pass(queue, id, second)
  if second then
    queue.second = id
  else
    queue.at, queue.taken = queue.at + 1, queue.taken + 1
  end
end

local function cut(queue)
  if queue.second then redis.call('LREM', queue.list, 1, queue.second) end
  if queue.taken > 0 then redis.call('LTRIM', queue.list, queue.taken, -1) end
  queue.second, queue.taken = nil, 0
end

-- A job that names an execution whose lease stands was requeued by RQ's means while it is being sent. What SES says to
-- that must count as this job's, and not as one's that was deleted and made anew (settle.lua).
local function keep_unfinished(queue, id, execution, keep)
  local member = id .. ':' .. execution
  if not typed('ZSCORE', queue.leases, member) then return end
  local hash = string.sub(ARGV[9], 1, -5) .. 'execution:' .. member
  typed('HSETNX', hash, 'id', execution)
  redis.call('EXPIRE', hash, keep)
end

-- What only a job may have that RQ has saved, or that was started before, and so has a started_at: an execution before
-- this, callbacks and webhooks. Reply 1 where it has one of the latter.
local function read_saved(queue, id, keep)
  local hash = redis.call('HMGET', ARGV[9] .. id, ARGV[10], 'success_callback_name', 'failure_callback_name',
    'stopped_callback_name', 'webhooks')
  if string.match(hash[1] or '', '^[^-]') then keep_unfinished(queue, id, hash[1], keep) end
  for field = 2, 5 do
    if (hash[field] or '') ~= '' then return 1 end
  end
  return 0
end

-- hash: status, data, meta, started_at, recipients, enqueued_at, campaign; weight: recipients that it may be sent to
local function choose(it, place, id, hash, weight)
  local queue = it.queues[place]
  local fresh, hooks = (hash[4] or '') == '' and 1 or 0, 0
  if hash[4] then hooks = read_saved(queue, id, it.keep) end
  local execution = ARGV[7] .. string.format(fresh == 1 and '%x1' or '%x0', it.number)
  local n = it.claimed + 1
  it.chosen[n], it.executions[n], it.saved[n], it.seen[id] = id, execution, hash[4] and true, true
  local member, at = id .. ':' .. execution, #queue.leased
  queue.leased[at + 1], queue.leased[at + 2] = it.lease_end, member
  queue.begun[at + 1], queue.begun[at + 2] = it.started_end, member

  local parts, data, meta, queued_at = it.parts, hash[2], hash[3] or '', hash[6] or ''
  if #queued_at > 40 then queued_at = string.sub(queued_at, 1, 40) end
  at = #parts
  local entries = hash[7] and weight + 128 * redis.call('HEXISTS', ARGV[9] .. id, ARGV[17]) or 0
  parts[at + 1] = struct.pack('>BBBBBI4I4I4', place, fresh, hooks, entries, #queued_at, #id, #data, #meta)
  parts[at + 2], parts[at + 3], parts[at + 4], parts[at + 5] = id, data, meta, queued_at
  it.wanted, it.room, it.number, it.claimed = it.wanted - 1, it.room - #data, it.number + 1, n

  local flow = it.flow
  flow.mails, flow.recipients = flow.mails + 1, flow.recipients + weight
  if weight > 1 and it.price then flow.passed = math.max(-350, flow.passed + it.price * (weight - 1)) end
  if it.allowed then flow.tokens = flow.tokens - weight end
  if it.granted then it.granted = it.granted - weight end
  if it.left then it.left = it.left - weight end
end

-- Where RQ's index of a job's executions is left from a stock worker that died, builds before take one that isn't in it
-- for another job's: so it gets in, with its hash, as theirs do.
local function tell_older(it, id, execution)
  local root = string.sub(ARGV[9], 1, -5)
  local index, hash = root .. 'executions:' .. id, root .. 'execution:' .. id .. ':' .. execution
  if redis.call('EXISTS', index) == 0 then return end
  record(hash, index, id, execution, ARGV[3], it.now, it.now, it.started_end, it.keep)
end

it.started_end = lease_moment(now + lease + grace, grace)
-- Seconds for which RQ's record of an execution is kept.
it.keep = math.ceil(lease + grace)
local skipped, dropped = false, 0
while it.wanted > 0 and it.room > 0 and it.aside < 500 do
  local passed, preferred, turn = flow.passed, flow.preferred, flow.turn
  local place = next_place(it)
  local id, second
  if place then id, second = look(it, place) end
  if not place or not id and it.places == 1 then break end
  if not id then
    it.lengths[place] = 0
  else
    local hash = string.match(id, '^[%w_-]+$') and not it.seen[id]
      and typed('HMGET', ARGV[9] .. id, 'status', 'data', 'meta', 'started_at', ARGV[11], 'enqueued_at')
    local dead = not hash or hash[1] ~= 'queued' or not hash[2]
    local weight = not dead and hash[5] and math.min(50, math.max(1, tonumber(hash[5]) or 1)) or 1
    local reason, seconds
    -- Most mails have one recipient, and needn't be asked for a campaign.
    if not dead and hash[5] then hash[7] = redis.call('HGET', ARGV[9] .. id, ARGV[14]) end
    if not dead and hash[7] then
      if is_held(it, place, id, hash[7], weight) then dead, dropped = true, dropped - 1 end
      weight = portion(it, hash[7], weight)
    end
    if not dead and (it.left or it.allowed or it.granted) then reason, seconds = refusal(it, weight) end
    if dead or reason then flow.passed, flow.preferred, flow.turn = passed, preferred, turn end
    if reason then
      if reason == 'rate' or it.places == 1 or place == it.first then
        it.word, it.wait = reason, seconds
        break
      end
      -- The turn of a heavy one may have to wait for hours: more urgent ones that are lighter go before it.
      for lower = place, it.places - 1 do it.lengths[lower] = 0 end
      skipped = true
    else
      if it.places > 1 then it.lengths[place] = it.lengths[place] - 1 end
      if dead then
        dropped = dropped + 1
      else
        choose(it, place, id, hash, weight)
      end
      pass(it.queues[place], id, second)
      if dead and second then cut(it.queues[place]) end
    end
  end
end

for _, queue in pairs(it.queues) do
  -- So many at a time as Lua can hand over.
  for at = 1, #queue.leased, 2000 do
    local last = math.min(at + 1999, #queue.leased)
    redis.call('ZADD', queue.leases, unpack(queue.leased, at, last))
    redis.call('ZADD', queue.started, unpack(queue.begun, at, last))
  end
end
-- RQ's requeue leaves the time to live of a failed mail. Before any is begun, should this right be missing.
for i, id in ipairs(it.chosen) do
  if it.saved[i] then redis.call('PERSIST', ARGV[9] .. id) end
end
for i, id in ipairs(it.chosen) do
  local execution = it.executions[i]
  if it.saved[i] then tell_older(it, id, execution) end
  redis.call('HSET', ARGV[9] .. id, 'status', 'started', 'started_at', ARGV[4], 'last_heartbeat', ARGV[4], 'worker_name', ARGV[3],
    ARGV[10], execution)
  if it.probing then it.word = 'probe' end
  if it.probing and not granted_elsewhere then
    redis.call('HSET', KEYS[2], 'state', 'half-open', 'probe', id .. ':' .. execution, 'probe_until', it.lease_end,
      'last_probe', id)
  end
end

if skipped and it.word == '' and it.wanted > 0 and it.room > 0 then it.word, it.wait = 'quota', DAY_LOOK end
if it.word == 'quota' and ARGV[13] == '1' and not granted_elsewhere and ask_of_day(flow) then changed = true end
if it.claimed > 0 then
  keep_pace(flow, now, mails_before, recipients_before)
  changed = not granted_elsewhere or it.places > 1
end
if changed then redis.call('HSET', KEYS[2], 'flow', packed_flow(flow)) end
for _, queue in pairs(it.queues) do cut(queue) end
count_canceled(it)
local waiting = 0
if granted_elsewhere or (it.word ~= '' and it.word ~= 'probe') then
  for place = 0, it.places - 1 do waiting = waiting + (typed('LLEN', KEYS[4 + place * 3]) or 0) end
end
if it.spoilt and it.claimed == 0 then
  return redis.error_reply('WRONGTYPE ' .. it.spoilt .. ' is not of its type: delete it')
end
return { dropped, table.concat(it.parts), it.word, math.ceil(math.min(LONGEST_WAIT, it.wait) * 1000000), waiting, ask,
  tonumber(account[3]) or 0, tonumber(account[4]) or 0, time[1], time[2], there, it.aside, it.granted, it.need }
