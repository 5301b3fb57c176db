-- follow: let jobs of a campaign follow its state: those that were held back into the queue, or all that wait canceled.
-- (…_FIELD, CANCELED_TTL: contract.LUA_CONSTANTS)
--
-- KEYS  1 the campaign's record   2 a scratch key, which never stands (rq_ses.keys)   3 its queue's list
--       4 the deferred registry   5 the scheduled registry   6 the canceled registry
-- ARGV  1 prefix of job keys   2 "sending" or "canceled": nothing is done in any other state   3 the campaign
--       4 now, in RQ's date form   5 wake channel   then ids of jobs, as they were found
-- Reply how many jobs were moved, and how many entries they have
--
-- One that waits with a part of it to be made yet (the worker's split.lua) is left to claim, which has it made first.
-- A job that is canceled stays in the queue's list, where claim drops it: to look for each would take the square of
-- their number. New places are written first, hashes after, old places are left last. What an earlier call broke off
-- behind the hashes has left in its old places goes with the next.

if redis.call('HGET', KEYS[1], 'state') ~= ARGV[2] then return { 0, 0 } end
local back, jobs, entries, ids, left = ARGV[2] == 'sending', 0, 0, {}, {}
for i = 6, #ARGV do
  local found = redis.pcall('HMGET', ARGV[1] .. ARGV[i], 'status', CAMPAIGN_FIELD, RECIPIENTS_FIELD, PARTS_FIELD)
  if found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
  local queued = found[1] == 'queued' and not found[4]
  local waits = found[1] == 'deferred' or not back and (queued or found[1] == 'scheduled')
  if not found.err and waits and found[2] == ARGV[3] then
    ids[#ids + 1] = ARGV[i]
    jobs, entries = jobs + 1, entries + (tonumber(found[3] or '') or 1)
  elseif not found.err and found[1] ~= 'deferred' then
    for _, key in ipairs({ KEYS[4], found[1] == 'canceled' and KEYS[5] or nil }) do
      if redis.call('ZSCORE', key, ARGV[i]) then left[#left + 1] = { key, ARGV[i] } end
    end
  end
end
if jobs == 0 and #left == 0 then return { 0, 0 } end

redis.call('DEL', KEYS[2])
for _, entry in ipairs(left) do redis.call('ZREM', entry[1], entry[2]) end
if jobs == 0 then return { 0, 0 } end
if back then
  redis.call('RPUSH', KEYS[3], unpack(ids))
  for _, id in ipairs(ids) do redis.call('HSET', ARGV[1] .. id, 'status', 'queued', 'enqueued_at', ARGV[4]) end
else
  local ends = redis.call('TIME')[1] + CANCELED_TTL
  for _, id in ipairs(ids) do
    redis.call('ZADD', KEYS[6], ends, id)
    redis.call('HSET', ARGV[1] .. id, 'status', 'canceled', 'ended_at', ARGV[4], 'worker_name', '')
    redis.call('EXPIRE', ARGV[1] .. id, CANCELED_TTL)
  end
  redis.call('ZREM', KEYS[5], unpack(ids))
  redis.call('HINCRBY', KEYS[1], 'canceled', entries)
end
redis.call('ZREM', KEYS[4], unpack(ids))
redis.call('HSET', KEYS[1], 'changed_at', redis.call('TIME')[1])
if back then redis.pcall('PUBLISH', ARGV[5], '') end
return { jobs, entries }
