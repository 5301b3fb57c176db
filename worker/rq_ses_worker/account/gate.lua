-- gate: what the scripts around an account's gate share; put in front of claim, grant, observe and limits. Its numbers
-- stand in rq_ses/gate.py, too.
--
-- The account's hash (rq_ses.gate reads it, too); moments are epoch seconds by the server's clock:
--   state       open, half-open, or closed (so without one)
--   manual      1: opened by hand, no probes are made
--   reason, since, closed_at   why and when it opened last, when it closed last; opened: how often it opened
--   next_probe  when a probe may be made; spacing: seconds from one that failed to the next
--   probe       JOB:EXECUTION of the one being made; probe_until: when it counts as dead
--   last_probe  its job, which isn't probed with twice in a row if there is another
--   fails       failed attempts since the last one that ended well
--   flow        numbers that change with every claim, packed, for they are read with every claim:
--     mails, recipients, bad   claimed, claimed, and failed, ever
--     a_…, b_…                 the same some time ago (at): b at least, a about, a second before the last claim
--     tokens, filled_at        in the bucket, and when; below 0 it is in debt
--     fixed, rate              recipients a second: as a worker's settings have it, as SES says; 0 is neither
--     low, top, lowered_at     to what a 429 lowered the rate, from what, and when; 0 if none did
--     quota, used, counted     recipients in 24 hours as SES says (0: any number), sent of them, claimed by then
--     mark, ask_at             recipients claimed when SES was asked last; when it shall be asked again
--     answered, refused        when SES told its limits last, when it last didn't
--     passed, preferred, turn  mails for which a lower queue was passed over, the place of the last one's, and
--                              times a lower one came first

local FLOW, SIZE = '>dddddddddddddddddddddddddddd', 28 * 8
local DECREASE, INCREASE, FORGET = 0.7, 0.05, 2
local DAY = 86400

local mails, recipients, bad = 0, 0, 0
local a_at, a_mails, a_recipients, a_bad, b_at, b_mails, b_recipients, b_bad = 0, 0, 0, 0, 0, 0, 0, 0
local tokens, filled_at, fixed, rate, low, top, lowered_at = 0, 0, 0, 0, 0, 0, 0
local quota, used, counted, mark, ask_at, answered, refused, passed, preferred, turn = 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

local function unpack_flow(flow)
  if not flow or #flow ~= SIZE then return end
  mails, recipients, bad, a_at, a_mails, a_recipients, a_bad, b_at, b_mails, b_recipients, b_bad, tokens, filled_at,
    fixed, rate, low, top, lowered_at, quota, used, counted, mark, ask_at, answered, refused, passed,
    preferred, turn = struct.unpack(FLOW, flow)
end

local function packed_flow()
  return struct.pack(FLOW, mails, recipients, bad, a_at, a_mails, a_recipients, a_bad, b_at, b_mails, b_recipients,
    b_bad, tokens, filled_at, fixed, rate, low, top, lowered_at, quota, used, counted, mark, ask_at, answered, refused,
    passed, preferred, turn)
end

-- Seconds from now to a moment; 0 if it is past, or further away than it can be: the clock was set.
local function ahead(moment, now, most)
  local left = (tonumber(moment or '') or 0) - now
  return left > 0 and left <= most and left or 0
end

-- Recipients a second that may be claimed now, nil for any number: after a 429 it grows back line by line.
local function allowance(now)
  local ceiling = fixed > 0 and fixed or rate > 0 and rate or nil
  -- One that was lowered in the future is forgotten: the clock was set back, and it wouldn't grow until then.
  if top <= 0 or now < lowered_at - 1 then return ceiling, ceiling end
  local allowed = math.max(0.05, low) + INCREASE * top * math.max(0, now - lowered_at)
  if ceiling then return math.min(ceiling, allowed), ceiling end
  return allowed < FORGET * top and allowed or nil
end

local function burst_of(allowed) return math.max(1, allowed / 10) end

-- What is in the bucket now. A mail has at most 50 recipients, so no debt is deeper.
local function fill(allowed, now)
  local burst = burst_of(allowed)
  if filled_at == 0 then return burst end
  return math.max(-50, math.min(burst, tokens + math.max(0, now - filled_at) * allowed))
end

local function no_hash(key) return redis.error_reply('WRONGTYPE ' .. key .. ' is no hash: delete it') end
