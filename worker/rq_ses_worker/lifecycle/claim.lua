-- claim: take queued jobs, as far as the account's gate lets them pass, and lease each to one execution. (typed.lua,
-- gate.lua, passing.lua, execution.lua)
--
-- KEYS  1 RQ's suspension flag   2 the account's hash (gate.lua)   3 a scratch key
--       then for each queue: its list, its started registry, its leases
-- ARGV  1 jobs wanted   2 bytes of data after which to stop   3 worker name   4 now, in RQ's date form
--       5 lease, s   6 grace, s: RQ's own clean-up of the started registry comes that much after the lease
--       7 prefix of the execution ids   8 number of the first one   9 prefix of the keys of jobs
--       10 field of a job's hash with the execution it is started by
--       11 field of a job's hash with its number of recipients (1 without it)
--       12 recipients a second ("": what SES says)   13 "1": this worker can ask SES for the account's limits
--       and in a partition, whose account has its gate elsewhere (grant.lua):
--       14 tokens for recipients   15 "1": the day has no more than these   16 "1": the first mail is the probe
--       17 the job that was probed with last
-- Reply what the key of RQ's suspension holds, or { number of ids dropped, blob, word, microseconds, waiting, ask, troubled, opened, and the
--       server's time: seconds, microseconds; in a partition also: tokens left, and how many the next mail takes }
--       blob: of each job a head (queue's place, 1 where RQ has blanked started_at (a new or requeued job), 1
--       where it carries callbacks or webhooks, lengths of the rest) and id, data, meta, enqueued_at.
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

local TURNS = 8

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[1]) == 1 then
  local by = redis.pcall('GET', KEYS[1])
  return type(by) == 'string' and by or 'suspended'
end

local wanted, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local worker, today, lease, grace = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local job_prefix, execution_field, recipients_field = ARGV[9], ARGV[10], ARGV[11]
local number_of, dropped = tonumber(ARGV[8]), 0
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local lease_end, started_end = lease_moment(now + lease, lease), lease_moment(now + lease + grace, grace)
-- Of all keys; and seconds for which RQ's record of an execution is kept.
local root, keep = string.sub(job_prefix, 1, -5), math.ceil(lease + grace)
local parts = {}

local function present(value) return value and value ~= '' end

-- The account

local account = typed('HMGET', KEYS[2], 'flow', 'state', 'fails', 'opened')
if not account then return no_hash(KEYS[2]) end
unpack_flow(account[1])
local mails_before, recipients_before = mails, recipients
fixed = tonumber(ARGV[12]) or 0
local granted, need = ARGV[14] and tonumber(ARGV[14]), 1

local places, lengths, queues, spoilt = (#KEYS - 3) / 3, {}, {}, nil
for place = 0, places - 1 do
  -- ids: the next of the list, the one at `at` first, read but not taken; taken: how many before that are done with
  queues[place] = { list = KEYS[4 + place * 3], started = KEYS[5 + place * 3], leases = KEYS[6 + place * 3],
    ids = {}, at = 1, taken = 0, chunk = 0, leased = {}, begun = {} }
end
local allowed, left
if granted then
  left = ARGV[15] == '1' and granted or nil
else
  allowed, left = allowance(now), left_of_day(now)
  if allowed then tokens, filled_at = fill(allowed, now), now end
end
local word, wait, ask, claimed, changed = '', 0, 0, 0, false
local probing, last_probe = false, nil

local function close(reason, seconds)
  word, wait, wanted = reason, seconds, 0
end

if granted then
  if ARGV[16] == '1' then probing, last_probe, wanted = true, ARGV[17], math.min(1, wanted) end
elseif account[2] == 'open' or account[2] == 'half-open' then
  -- The lease of a probe that is renewed goes on beyond what the account's hash says, as far as its queue is ours.
  local says, detail = breaker_says(KEYS[2], account[2], now, function(probe)
    local seconds = 0
    for place = 0, places - 1 do
      local ends = typed('ZSCORE', queues[place].leases, probe)
      seconds = math.max(seconds, ends and tonumber(ends) - now or 0)
    end
    return seconds
  end)
  if says == 'probe' then
    probing, last_probe, wanted = true, detail, math.min(1, wanted)
  else
    close(says, detail)
  end
end

if ARGV[13] == '1' and not granted then
  local first
  ask, first = ask_duty(now)
  changed = ask == 1
  if first and not probing and wanted > 0 then close('asking', 0.02) end
end

-- The order of the queues: the first that has jobs, but after seven preferred to others one of those, by turns.
-- A queue more urgent than the last preferred goes before that, so that an urgent mail is always the next.

if places > 1 then
  for place = 0, places - 1 do
    local list = queues[place].list
    lengths[place] = typed('LLEN', list)
    if not lengths[place] then lengths[place], spoilt = 0, list end
  end
end

local first, skipped = nil, false

local function next_place()
  if places == 1 then return 0 end
  local more = false
  first = nil
  for place = 0, places - 1 do
    if lengths[place] > 0 then
      more = first ~= nil
      if more then break end
      first = place
    end
  end
  if not more then
    passed = 0
  elseif passed >= TURNS - 1 and first >= preferred then
    local others = {}
    for place = first + 1, places - 1 do
      if lengths[place] > 0 then others[#others + 1] = place end
    end
    local chosen = others[#others - turn % #others]
    passed, turn = 0, (turn + 1) % 5040
    return chosen
  else
    passed, preferred = passed + 1, first
  end
  return first
end

-- Why a job of this weight has to wait, and for how long; nil if it may pass.
local function refusal(weight)
  if probing then return nil end
  if left and left < weight then return 'quota', DAY_LOOK end
  if granted then
    if granted >= weight then return nil end
    need = weight
    return 'rate', 0
  end
  local seconds = allowed and until_token(wanted, allowed)
  if seconds then return 'rate', seconds end
end

-- Were one of these of another type, the script would break off with a job in its hands.
local function usable(queue)
  if queue.sound == nil then
    local wrong = not typed('ZCARD', queue.started) and queue.started
      or not typed('ZCARD', queue.leases) and queue.leases
    queue.sound, spoilt = not wrong, wrong or spoilt
  end
  return queue.sound
end

-- The next id of a queue; nil if it has none that may be taken now. Second: it is the one behind that.
local function look(place)
  local queue = queues[place]
  if queue.at > #queue.ids then
    queue.chunk = math.min(1000, math.max(wanted, 2 * queue.chunk))
    queue.ids, queue.at = typed('LRANGE', queue.list, queue.taken, queue.taken + queue.chunk - 1), 1
    if not queue.ids then queue.ids, spoilt = {}, queue.list end
    if #queue.ids == 0 or not usable(queue) then return nil end
  end
  local id = queue.ids[queue.at]
  if not probing or not id or id ~= last_probe then return id end
  -- A mail that fails whatever SES is like must not keep the breaker open: another is tried first.
  local other = redis.call('LINDEX', queue.list, queue.taken + 1)
  if other then return other, true end
  for elsewhere = 0, places - 1 do
    if places > 1 and elsewhere ~= place and lengths[elsewhere] > 0 then return nil end
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

-- The jobs that are handed out, and the execution of each.
local chosen, executions, saved, seen = {}, {}, {}, {}

local function choose(place, id, hash, hooks, weight)
  local queue = queues[place]
  local fresh = present(hash[4]) and 0 or 1
  local execution = ARGV[7] .. string.format('%x%d', number_of, fresh)
  local member = id .. ':' .. execution
  local n = #chosen + 1
  -- What RQ has never saved has no started_at, and no index.
  chosen[n], executions[n], saved[n], seen[id] = id, execution, hash[4] and true, true
  n = #queue.leased
  queue.leased[n + 1], queue.leased[n + 2] = lease_end, member
  queue.begun[n + 1], queue.begun[n + 2] = started_end, member

  local data, meta, queued_at = hash[2], hash[3] or '', hash[6] or ''
  if #queued_at > 40 then queued_at = string.sub(queued_at, 1, 40) end
  n = #parts
  parts[n + 1] = struct.pack('>BBBBI4I4I4', place, fresh, hooks, #queued_at, #id, #data, #meta)
  parts[n + 2], parts[n + 3], parts[n + 4], parts[n + 5] = id, data, meta, queued_at
  wanted, room, number_of = wanted - 1, room - #data, number_of + 1

  mails, recipients, claimed = mails + 1, recipients + weight, claimed + 1
  if allowed then tokens = tokens - weight end
  if granted then granted = granted - weight end
  if left then left = left - weight end
end

-- A job that RQ has never saved has no such fields: started_at would be there, too.
local function hooks_of(id, hash)
  if not hash[4] then return 0 end
  local hooks = redis.call('HMGET', job_prefix .. id, 'success_callback_name', 'failure_callback_name',
    'stopped_callback_name', 'webhooks')
  return (present(hooks[1]) or present(hooks[2]) or present(hooks[3]) or present(hooks[4])) and 1 or 0
end

-- A job that names an execution whose lease stands was requeued by RQ's means while it is being sent. What SES says to
-- that must count as this job's, and not as one's that was deleted and made anew (settle.lua).
local function keep_unfinished(queue, id, execution)
  if not present(execution) or string.sub(execution, 1, 1) == '-' then return end
  local member = id .. ':' .. execution
  if not typed('ZSCORE', queue.leases, member) then return end
  local hash = root .. 'execution:' .. member
  typed('HSETNX', hash, 'id', execution)
  redis.call('EXPIRE', hash, keep)
end

-- Where RQ's index of a job's executions is left from a stock worker that died, builds before take one that isn't in it
-- for another job's: so it gets in, with its hash, as theirs do.
local function tell_older(id, execution)
  local index, hash = root .. 'executions:' .. id, root .. 'execution:' .. id .. ':' .. execution
  if redis.call('EXISTS', index) == 0 then return end
  record(hash, index, id, execution, worker, now, now, started_end, keep)
end

local function hand_out(id, execution)
  local job = job_prefix .. id
  redis.call('PERSIST', job)
  redis.call('HSET', job, 'status', 'started', 'started_at', today, 'last_heartbeat', today, 'worker_name', worker,
    execution_field, execution)
  if probing then word = 'probe' end
  if probing and not granted then
    redis.call('HSET', KEYS[2], 'state', 'half-open', 'probe', id .. ':' .. execution, 'probe_until', lease_end,
      'last_probe', id)
  end
end

while wanted > 0 and room > 0 do
  local passed_before, preferred_before, turn_before = passed, preferred, turn
  local place = next_place()
  local id, second
  if place then id, second = look(place) end
  if not place or not id and places == 1 then break end
  if not id then
    lengths[place] = 0
  else
    local hash = string.match(id, '^[%w_-]+$') and not seen[id]
      and typed('HMGET', job_prefix .. id, 'status', 'data', 'meta', 'started_at', recipients_field, 'enqueued_at',
        execution_field)
    local dead = not hash or hash[1] ~= 'queued' or not hash[2]
    local weight = not dead and hash[5] and math.min(50, math.max(1, tonumber(hash[5]) or 1)) or 1
    local reason, seconds
    if not dead and (left or allowed or granted) then reason, seconds = refusal(weight) end
    if dead or reason then passed, preferred, turn = passed_before, preferred_before, turn_before end
    if reason then
      if reason == 'rate' or places == 1 or place == first then
        word, wait = reason, seconds
        break
      end
      -- The turn of a heavy one may have to wait for hours: more urgent ones that are lighter go before it.
      for lower = place, places - 1 do lengths[lower] = 0 end
      skipped = true
    else
      if places > 1 then lengths[place] = lengths[place] - 1 end
      if dead then
        dropped = dropped + 1
      else
        keep_unfinished(queues[place], id, hash[7])
        choose(place, id, hash, hooks_of(id, hash), weight)
      end
      pass(queues[place], id, second)
      if dead and second then cut(queues[place]) end
    end
  end
end

for place = 0, places - 1 do
  local queue = queues[place]
  -- So many at a time as Lua can hand over.
  for at = 1, #queue.leased, 2000 do
    local last = math.min(at + 1999, #queue.leased)
    redis.call('ZADD', queue.leases, unpack(queue.leased, at, last))
    redis.call('ZADD', queue.started, unpack(queue.begun, at, last))
  end
end
for i, id in ipairs(chosen) do
  if saved[i] then tell_older(id, executions[i]) end
  hand_out(id, executions[i])
end

if skipped and word == '' and wanted > 0 and room > 0 then word, wait = 'quota', DAY_LOOK end
if word == 'quota' and ARGV[13] == '1' and not granted and ask_of_day() then changed = true end
if claimed > 0 then
  keep_pace(now, mails_before, recipients_before)
  changed = not granted or places > 1
end
if changed then redis.call('HSET', KEYS[2], 'flow', packed_flow()) end
for place = 0, places - 1 do cut(queues[place]) end
local waiting = 0
if granted or (word ~= '' and word ~= 'probe') then
  for place = 0, places - 1 do waiting = waiting + (typed('LLEN', queues[place].list) or 0) end
end
if spoilt and claimed == 0 then return redis.error_reply('WRONGTYPE ' .. spoilt .. ' is not of its type: delete it') end
wait = math.min(LONGEST_WAIT, wait)
return { dropped, table.concat(parts), word, math.ceil(wait * 1000000), waiting, ask, tonumber(account[3]) or 0,
  tonumber(account[4]) or 0, time[1], time[2], granted, need }
