-- grant: let a worker of a partition have tokens for recipients of mails that it then claims elsewhere, by the rules
-- by which claim lets mails pass in its own step. (typed.lua, gate.lua, passing.lua)
--
-- KEYS  1 the account's hash (gate.lua)   2 a scratch key
-- ARGV  1 tokens wanted; 0: only a look   2 how many the next mail takes, which are granted together, or not
--       3 tokens given back (below 0: what a probe took beyond its one)   4 mails claimed since the last call, less
--       the tokens they took
--       5 recipients a second ("": what SES says)   6 "1": this worker can ask SES for the account's limits
--       7 name for the probe, should the one that is granted be one   8 seconds for which it is held to be made
-- Reply { granted, word, microseconds, ask, troubled, opened, bounded, last probe, most }
--       word, microseconds, ask, troubled, opened: as claim's, where the next mail can't have its tokens, too;
--       "probe": the one token granted is for the probe
--       bounded: 1 if the day has no more than what was granted
--       last probe: the job that was probed with last
--       most: entries of a bulk job that may be sent together, by the rate; 0: any number
--
-- Tokens count as claimed from here on. A worker that dies with some loses them for the second of the bucket, and
-- for the day until SES has told how many were sent.

redis.call('DEL', KEYS[2])
local account = typed('HMGET', KEYS[1], 'flow', 'state', 'fails', 'opened')
if not account then return no_hash(KEYS[1]) end
local flow = read_flow(account[1])
local wanted, need, back, beyond = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
flow.fixed = tonumber(ARGV[5]) or 0

local mails_before, recipients_before = flow.mails, flow.recipients
flow.mails, flow.recipients = math.max(0, flow.mails - back + beyond), math.max(0, flow.recipients - back)
local allowed = allowance(flow, now)
if allowed then
  flow.tokens, flow.filled_at = math.max(-50, math.min(burst_of(allowed), fill(flow, allowed, now) + back)), now
end
local left, granted, word, wait, bounded = left_of_day(flow, now), 0, '', 0, 0

-- A probe's worker says itself for how long its lease stands (probing.lua).
local says, detail
if account[2] == 'open' or account[2] == 'half-open' then
  says, detail = breaker_says(KEYS[1], account[2], now, function() return 0 end)
end
if says == 'probe' then
  if wanted > 0 then
    granted, word = 1, 'probe'
    redis.call('HSET', KEYS[1], 'state', 'half-open', 'probe', ARGV[7], 'probe_until',
      string.format('%.6f', now + ARGV[8]))
  else
    word = 'open'
  end
elseif says then
  word, wait = says, detail
end

local ask, first = 0, false
if ARGV[6] == '1' then ask, first = ask_duty(flow, now) end
if word == '' and wanted > 0 then
  local seconds = allowed and until_token(flow, wanted, allowed)
  if first then
    word, wait = 'asking', 0.02
  elseif left and left < 1 then
    word, wait, bounded = 'quota', DAY_LOOK, 1
  elseif seconds then
    word, wait = 'rate', seconds
  else
    granted = math.max(need, allowed and math.min(wanted, math.floor(flow.tokens + 1e-6)) or wanted)
    if left and left <= granted then granted, bounded = math.floor(left), 1 end
    if bounded == 1 then word, wait = 'quota', DAY_LOOK end
  end
end
-- A look that has changed nothing leaves nothing in the server's file.
local changed = granted > 0 or ask == 1 or back ~= 0 or beyond ~= 0
if word == 'quota' and ARGV[6] == '1' and ask_of_day(flow) then changed = true end

if granted > 0 then
  if allowed then
    flow.tokens = flow.tokens - granted
    local seconds = until_token(flow, wanted, allowed)
    if word == '' and seconds then word, wait = 'rate', seconds end
  end
  flow.mails, flow.recipients = flow.mails + granted, flow.recipients + granted
  keep_pace(flow, now, mails_before, recipients_before)
end
if changed then redis.call('HSET', KEYS[1], 'flow', packed_flow(flow)) end
return { granted, word, math.ceil(math.min(LONGEST_WAIT, math.max(0, wait)) * 1000000), ask, tonumber(account[3]) or 0,
  tonumber(account[4]) or 0, bounded, detail and says == 'probe' and detail or '',
  allowed and math.max(1, math.floor(allowed / 2)) or 0 }
