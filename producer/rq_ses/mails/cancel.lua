-- cancel: take a mail that waits out of its queue or registry, so that nobody will send it.
--
-- KEYS  1 the job's hash   2 the canceled registry of its queue   3 a scratch key, which never stands
--       (rq_ses.keys)   then for each of our queues: its list, its scheduled registry
-- ARGV  1 its id   2 now, in RQ's date form   3 seconds for which it is kept, canceled   4 prefix of the records of
--       campaigns   5 and 6 names of the fields of a campaign's name, and of the number of recipients
-- Reply 1 or 0: whether it was canceled   2 the status it had ("": no such job)
--
-- A bulk job of which parts are yet to be made (the worker's split.lua) is left to claim, which has them made first:
-- nobody would make them afterwards. (PARTS_FIELD: contract.LUA_CONSTANTS)

local job, id, ttl = KEYS[1], ARGV[1], tonumber(ARGV[3])
local found = redis.pcall('HGET', job, 'status')
-- A key of another type is no mail; any other error must not count as "no such job".
if type(found) == 'table' and found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
local status = type(found) == 'string' and found or ''
if status ~= 'queued' and status ~= 'scheduled' then return { 0, status } end
if redis.call('HEXISTS', job, PARTS_FIELD) == 1 then return { 0, status } end

-- On a full server the first write must be one that frees. If the script is broken off, what it leaves is put right
-- by what runs anyway: a canceled job that stands in the queue is dropped there, one without a TTL gets one; but one
-- that was queued and stood nowhere would be put back.
redis.call('ZREM', KEYS[2], id)
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] + ttl, id)
redis.call('HSET', job, 'status', 'canceled', 'ended_at', ARGV[2], 'worker_name', '')
redis.call('EXPIRE', job, ttl)
for i = 4, #KEYS, 2 do
  redis.call('LREM', KEYS[i], 0, id)
  redis.call('ZREM', KEYS[i + 1], id)
end

-- A campaign's entries are counted in its record. Broken off before, audit finds them.
local entries = redis.call('HMGET', job, ARGV[5], ARGV[6])
if entries[1] and redis.call('EXISTS', ARGV[4] .. entries[1]) == 1 then
  redis.call('HINCRBY', ARGV[4] .. entries[1], 'canceled', math.floor(tonumber(entries[2] or '') or 1))
  redis.call('HSET', ARGV[4] .. entries[1], 'changed_at', time[1])
end
return { 1, status }
