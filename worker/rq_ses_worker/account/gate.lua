-- gate: what the scripts around an account's gate share; put in front of claim, grant, observe and limits.
-- (flow.…: contract.FLOW_NAMES; FLOW_…, RATE_…, QUOTA_DAY: contract.LUA_CONSTANTS)
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

-- An array, for a table with names costs twice as much. flow.tokens stands for the place of `tokens` in it
-- (rq_ses.server.script), and so on. It is given to whoever needs it: a local that a function captures costs each call.
local function read_flow(packed)
  if not packed or #packed ~= FLOW_SIZE then packed = string.rep('\0', FLOW_SIZE) end
  return { struct.unpack(FLOW_FORMAT, packed) }
end

-- Behind the numbers stands where struct.unpack ended.
local function packed_flow(flow) return struct.pack(FLOW_FORMAT, unpack(flow, 1, FLOW_NUMBERS)) end

-- Seconds from now to a moment; 0 if it is past, or further away than it can be: the clock was set.
local function ahead(moment, now, most)
  local left = (tonumber(moment or '') or 0) - now
  return left > 0 and left <= most and left or 0
end

-- Recipients a second that may be claimed now, nil for any number: after a 429 it grows back line by line.
local function allowance(flow, now)
  local ceiling = flow.fixed > 0 and flow.fixed or flow.rate > 0 and flow.rate or nil
  -- One that was lowered in the future is forgotten: the clock was set back, and it wouldn't grow until then.
  if flow.top <= 0 or now < flow.lowered_at - 1 then return ceiling, ceiling end
  local allowed = math.max(0.05, flow.low) + RATE_GROWTH * flow.top * math.max(0, now - flow.lowered_at)
  if ceiling then return math.min(ceiling, allowed), ceiling end
  return allowed < RATE_FORGOTTEN * flow.top and allowed or nil
end

local function burst_of(allowed) return math.max(1, allowed / 10) end

-- What is in the bucket now. A mail has at most 50 recipients, so no debt is deeper.
local function fill(flow, allowed, now)
  local burst = burst_of(allowed)
  if flow.filled_at == 0 then return burst end
  return math.max(-50, math.min(burst, flow.tokens + math.max(0, now - flow.filled_at) * allowed))
end

local function no_hash(key) return redis.error_reply('WRONGTYPE ' .. key .. ' is no hash: delete it') end
