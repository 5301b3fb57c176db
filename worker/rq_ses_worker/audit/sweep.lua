-- sweep: look at some entries of a queue's places, and end what is over, keep what must not end; all by the server's
-- clock. (typed.lua; FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 a scratch key   2 the queue's list   3-6 its scheduled, finished, failed and canceled registries
-- ARGV  1 prefix of job keys   2 prefix of result keys   3 seconds for which a canceled mail is kept
--       4 how many entries   5 where to begin   6 what to look at:
--         list, scheduled   a mail that is to be sent must not expire: one with a time to live loses it
--         finished, failed  an entry whose time is over goes with its job; as long as that is there it stays, but of
--                           a failed one it goes some time before
--         canceled          one without a time to live gets one; an entry whose job is gone goes
--         jobs              those named from 7 on: as list and scheduled
-- Reply { entries read, where to go on (entries before that are done with), mails that no longer expire, length of the
--       list or the scheduled registry }

local job_prefix, results_prefix, kept_for = ARGV[1], ARGV[2], tonumber(ARGV[3])
local count, at, place = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
redis.call('DEL', KEYS[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local persisted = 0
local UNSENT = { queued = true, scheduled = true }

local function moment(seconds) return string.format('%.6f', seconds) end

local function status_of(id) return typed('HGET', job_prefix .. id, 'status') or '' end

local function persist(ids, length)
  for _, id in ipairs(ids) do
    if redis.call('PTTL', job_prefix .. id) >= 0 and UNSENT[status_of(id)] then
      persisted = persisted + redis.call('PERSIST', job_prefix .. id)
    end
  end
  return { #ids, at + #ids, persisted, length or 0 }
end

local function expire(registry, statuses, grace)
  -- RQ writes -1 for one that is kept for ever.
  local ids = typed('ZRANGEBYSCORE', registry, 0, moment(now), 'LIMIT', 0, count) or {}
  for _, id in ipairs(ids) do
    local left = redis.call('PTTL', job_prefix .. id)
    if left ~= -2 and (left < 0 or left > grace * 1000) and statuses[status_of(id)] then
      redis.call('ZADD', registry, 'XX', left < 0 and '+inf' or moment(now + (left + 1) / 1000 - grace), id)
    else
      redis.call('ZREM', registry, id)
    end
  end
  return { #ids, 0, 0, 0 }
end

local function bound(registry)
  local ids = typed('ZRANGE', registry, at, at + count - 1) or {}
  local stay = 0
  for _, id in ipairs(ids) do
    local left = redis.call('PTTL', job_prefix .. id)
    if left == -2 then
      redis.call('ZREM', registry, id)
    elseif left == -1 and status_of(id) == 'canceled' then
      -- RQ's score is the moment at which it was canceled, by some client's clock; the entry moves to the end.
      redis.call('EXPIRE', results_prefix .. id, kept_for)
      redis.call('EXPIRE', job_prefix .. id, kept_for)
      redis.call('ZADD', registry, 'XX', moment(now + kept_for), id)
    else
      stay = stay + 1
    end
  end
  return { #ids, at + stay, 0, 0 }
end

-- From its end: claims at the head and pushes at the end then let nothing be passed over.
if place == 'list' then
  return persist(typed('LRANGE', KEYS[2], -at - count, -at - 1) or {}, typed('LLEN', KEYS[2]))
end
if place == 'scheduled' then
  return persist(typed('ZRANGE', KEYS[3], at, at + count - 1) or {}, typed('ZCARD', KEYS[3]))
end
if place == 'jobs' then return persist({ unpack(ARGV, 7) }) end
if place == 'finished' then return expire(KEYS[4], { finished = true }, 0) end
if place == 'failed' then return expire(KEYS[5], { failed = true, stopped = true }, FAILED_GRACE) end
return bound(KEYS[6])
