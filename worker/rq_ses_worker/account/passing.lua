-- passing: what lets mails pass the gate, or holds them; put in front of claim and grant. (typed.lua, gate.lua)

local ASK_AGAIN, ASKING, DAY_LOOK, PROBE_LOOK, LONGEST_WAIT = 60, 2, 0.1, 0.25, 3600

-- Recipients that the day still has; nil: nobody knows of a bound.
-- What was sent a day ago no longer counts, so an older answer would close the gate for ever.
local function left_of_day(flow, now)
  if flow.quota <= 0 or now - flow.answered >= QUOTA_DAY then return nil end
  return flow.quota - flow.used - (flow.recipients - flow.counted)
end

-- What a breaker says that is open or half-open: a word and for how long, or "probe" and the job that was probed with last.
-- standing: tells for how many seconds the lease of a probe still stands.
local function breaker_says(key, state, now, standing)
  local breaker = redis.call('HMGET', key, 'manual', 'next_probe', 'probe_until', 'last_probe', 'probe', 'spacing')
  if breaker[1] == '1' then return 'manual', 1 end
  if state == 'half-open' then
    local dying = math.max(ahead(breaker[3], now, 86400), breaker[5] and standing(breaker[5]) or 0)
    if dying > 0 then return 'probing', math.min(dying, PROBE_LOOK) end
  else
    local pause = ahead(breaker[2], now, (tonumber(breaker[6] or '') or 3600) + 1)
    if pause > 0 then return 'open', pause end
  end
  return 'probe', breaker[4]
end

-- 1 if the worker that calls shall ask SES for the account's limits; and whether mails shall wait for the answer: the
-- first is worth a moment, for without it the first mails would go out as fast as they can.
local function ask_duty(flow, now)
  local duty = 0
  if ahead(flow.ask_at, now, 3600) == 0 then duty, flow.ask_at, flow.mark = 1, now + ASK_AGAIN, flow.recipients end
  return duty, flow.answered + flow.refused + flow.fixed == 0 and flow.ask_at - now > ASK_AGAIN - ASKING
end

-- The day is a rolling window: SES may have more to give in a minute. True if it is asked earlier for that.
local function ask_of_day(flow)
  if flow.ask_at <= math.max(flow.answered, flow.refused) + ASK_AGAIN then return false end
  flow.ask_at = math.max(flow.answered, flow.refused) + ASK_AGAIN
  return true
end

-- Any mail passes for a single token, and a heavy one leaves a debt: were it to wait for all it weighs, workers
-- of other queues would take the tokens of light mails away from under it.
-- Seconds until one may pass; nil if it may now.
local function until_token(flow, wanted, allowed)
  -- A fraction lost in arithmetic must not cost a round trip.
  if flow.tokens + 1e-6 >= 1 then return nil end
  return (math.max(1, math.min(wanted, burst_of(allowed) / 2)) - flow.tokens) / allowed
end

-- Keep what was claimed until now as the past by which the pace, and the share of failures, are reckoned.
local function keep_pace(flow, now, mails_before, recipients_before)
  local gap = now - flow.b_at
  if gap >= 0 and gap < 1 then return end
  flow.a_at, flow.a_mails, flow.a_recipients, flow.a_bad = flow.b_at, flow.b_mails, flow.b_recipients, flow.b_bad
  flow.b_at, flow.b_mails, flow.b_recipients, flow.b_bad = now, mails_before, recipients_before, flow.bad
  -- After a rest nothing before it counts.
  if gap < 0 or gap > 2 then
    flow.a_at, flow.a_mails, flow.a_recipients, flow.a_bad = now, mails_before, recipients_before, flow.bad
  end
end
