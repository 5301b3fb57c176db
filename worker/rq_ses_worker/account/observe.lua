-- observe: let the account's gate learn how attempts ended; said twice it only counts twice. (typed.lua, gate.lua)
--
-- KEYS  1 the account's hash (gate.lua)   2 a scratch key
-- ARGV  1 "1": some attempt ended well, or for a reason of its mail alone
--       2 failed attempts   3 of these, those after the last that ended well
--       4 "1": SES answered 429
--       5 one line about the last failure   6 "1": that concerns the whole account
--       7 JOB:EXECUTION of a probe that has ended ("": of none)   8 pass, fail, or void (nothing was sent)
--       9 failures in a row that open the breaker   10 their share of the latest attempts
--       11 seconds to the first probe   12 seconds between probes at most
--       13 recipients a second, as in claim   14 failures in a row that open it whatever their share
-- Reply the breaker's state

local GROWTH, FLOOR, DECREASE = 1.6, 0.05, 0.7

-- A server without memory must learn that SES is out, too.
redis.call('DEL', KEYS[2])
local account = typed('HMGET', KEYS[1], 'flow', 'state', 'fails', 'opened', 'manual', 'probe', 'spacing')
if not account then return no_hash(KEYS[1]) end
local flow = read_flow(account[1])
flow.fixed = tonumber(ARGV[13]) or 0
local state, fails, opened = account[2] or 'closed', tonumber(account[3]) or 0, tonumber(account[4]) or 0
local spacing = tonumber(account[7])

local failing, failures, first, longest = tonumber(ARGV[2]), tonumber(ARGV[9]), tonumber(ARGV[11]), tonumber(ARGV[12])
local streak = tonumber(ARGV[14])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local function moment(seconds) return string.format('%.6f', seconds) end

local function open(reason)
  redis.call('HSET', KEYS[1], 'state', 'open', 'reason', reason, 'since', moment(now), 'spacing', first,
    'next_probe', moment(now + first), 'opened', opened + 1, 'fails', 0)
  redis.call('HDEL', KEYS[1], 'manual', 'probe', 'probe_until', 'last_probe')
  return 'open'
end

local function close()
  flow.a_at, flow.a_mails, flow.a_recipients, flow.a_bad = now, flow.mails, flow.recipients, flow.bad
  flow.b_at, flow.b_mails, flow.b_recipients, flow.b_bad = now, flow.mails, flow.recipients, flow.bad
  redis.call('HSET', KEYS[1], 'state', 'closed', 'closed_at', moment(now), 'fails', 0)
  redis.call('HDEL', KEYS[1], 'manual', 'probe', 'probe_until', 'last_probe', 'next_probe', 'spacing')
  return 'closed'
end

local function end_probe()
  if ARGV[8] == 'pass' then return close() end
  local longer = math.min(longest, math.max(first, spacing or first) * GROWTH)
  local pause = longer
  if ARGV[8] == 'void' then longer, pause = spacing or first, 0 end
  redis.call('HSET', KEYS[1], 'state', 'open', 'spacing', longer, 'next_probe', moment(now + pause))
  if ARGV[8] == 'fail' and ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'reason', ARGV[5]) end
  redis.call('HDEL', KEYS[1], 'probe', 'probe_until')
  return 'open'
end

-- A 429 takes what is in the bucket, and lowers the rate for everybody: at most once a second, since what was
-- under way then says the same.
local function slow_down()
  local since = now - flow.lowered_at
  if flow.top > 0 and since >= 0 and since < 1 then return end
  local allowed, ceiling = allowance(flow, now)
  if ceiling then
    flow.top = ceiling
  elseif not allowed then
    allowed = math.max(1, (flow.recipients - flow.a_recipients) / math.max(1, now - flow.a_at))
    flow.top = allowed
  end
  flow.tokens, flow.filled_at = math.min(0, fill(flow, allowed, now)), now
  flow.low, flow.lowered_at = math.max(FLOOR * flow.top, DECREASE * allowed), now
end

local function count()
  if ARGV[6] == '1' then return open(ARGV[5]) end
  fails = ARGV[1] == '1' and tonumber(ARGV[3]) or fails + failing
  flow.bad = flow.bad + failing
  redis.call('HSET', KEYS[1], 'fails', fails)
  -- At a high rate the share of the latest second or two is reached only when hundreds have gone out.
  local most = flow.bad - flow.a_bad >= tonumber(ARGV[10]) * (flow.mails - flow.a_mails)
  if failing > 0 and fails >= failures and (most or fails >= streak) then
    return open(string.format('%d failures in a row, the last: %s', fails, ARGV[5]))
  end
  return 'closed'
end

if ARGV[4] == '1' then slow_down() end
if state ~= 'open' and state ~= 'half-open' then
  state = count()
elseif account[5] ~= '1' and ARGV[7] ~= '' and ARGV[7] == account[6] then
  -- What was under way when it opened tells nothing new: only the probe's end counts.
  state = end_probe()
end
redis.call('HSET', KEYS[1], 'flow', packed_flow(flow))
return state
