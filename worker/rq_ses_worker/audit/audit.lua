-- audit: tell where one job stands, and put it where it belongs if it stands as it was last seen. (typed.lua;
-- FAILED_GRACE: contract.LUA_CONSTANTS)
--
-- KEYS  1 the queue's list   2 RQ's intermediate list   3 started registry   4 leases   5-9 scheduled, finished,
--       failed, canceled and deferred registry   10 RQ's set of the queue's workers
--       11 a scratch key
-- ARGV  1 job id   2-6 prefixes of the keys of jobs, executions, a job's index of executions, results, workers
--       7 field of a job's hash with the execution it is started by
--       8 what was last seen ("": only look)   9 JSON of the repair: place (queue, scheduled, finished, failed,
--       canceled, deferred, or "": nowhere), status, now (RQ's date form), origin, failure_ttl (the default),
--       and, where it has any: meta (JSON text), exc (a line), exc_string (as RQ's Result has it), data
-- Reply { what is seen, "seen" or "moved" or "repaired" }; what is seen is a JSON list, read by placement.py
--       The new place is written first, then the job, and the old places go last: broken off, it stands wrong still.

local id, job_prefix, execution_prefix, index_prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local results_prefix, worker_prefix, execution_field = ARGV[5], ARGV[6], ARGV[7]
local job = job_prefix .. id
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local names = { 'scheduled', 'finished', 'failed', 'canceled', 'deferred' }

local function alive(worker)
  return worker and worker ~= '' and redis.call('EXISTS', worker_prefix .. worker) == 1
end

local hash = typed('HMGET', job, 'status', 'started_at', 'worker_name', 'enqueued_at', 'meta', execution_field) or {}

-- RQ's record of an execution of ours is there only if its lease was renewed; its job names it all the same.
local function worker_of(member)
  local worker = typed('HGET', execution_prefix .. member, 'worker_name')
  if not worker and hash[6] == string.sub(member, #id + 2) then worker = hash[3] end
  return type(worker) == 'string' and worker or ''
end

local function executions(key)
  local found, members = {}, redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    if string.sub(members[i], 1, #id + 1) == id .. ':' then
      local worker = worker_of(members[i])
      found[#found + 1] = { string.sub(members[i], #id + 2), tonumber(members[i + 1]) > now, worker,
        alive(worker) or false }
    end
  end
  return found
end

local exists = #hash > 0 and redis.call('EXISTS', job) == 1 or false
local left = exists and redis.call('PTTL', job) or -1

local registries = {}
for place, name in ipairs(names) do
  if redis.call('ZSCORE', KEYS[4 + place], id) then registries[#registries + 1] = name end
end

local living, busy = 0, ''
for _, key in ipairs(redis.call('SMEMBERS', KEYS[10])) do
  local worker = typed('HMGET', key, 'birth', 'current_job')
  if worker and worker[1] then
    living = living + 1
    if worker[2] == id then busy = string.sub(key, #worker_prefix + 1) end
  end
end

local seen = cjson.encode({
  exists, hash[1] or '', exists and redis.call('HEXISTS', job, 'data') == 1, (hash[2] or '') ~= '', hash[3] or '',
  alive(hash[3]) or false, hash[4] or '', hash[5] or '', #redis.call('LPOS', KEYS[1], id, 'COUNT', 2),
  #redis.call('LPOS', KEYS[2], id, 'COUNT', 1), left >= 0 and left <= FAILED_GRACE * 1000,
  executions(KEYS[3]), executions(KEYS[4]), registries, living, busy })
if ARGV[8] == '' then return { seen, 'seen' } end
if ARGV[8] ~= seen then return { seen, 'moved' } end

local repair = cjson.decode(ARGV[9])
redis.call('DEL', KEYS[11])

local function failure_ttl()
  local ttl = tonumber(redis.call('HGET', job, 'failure_ttl') or '') or repair.failure_ttl
  if ttl ~= ttl or ttl > 1e10 then ttl = repair.failure_ttl end
  return math.floor(ttl)
end

local function keep(key, ttl)
  if ttl < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, ttl) end
end

local places = redis.call('LPOS', KEYS[1], id, 'COUNT', 0)
local pushed = repair.place == 'queue' and #places == 0
if pushed then redis.call('LPUSH', KEYS[1], id) end
for place, name in ipairs(names) do
  if name == repair.place and not redis.call('ZSCORE', KEYS[4 + place], id) then
    local ttl = repair.exc and failure_ttl() * 1000 or left
    if name == 'failed' and not repair.exc and left >= 0 then ttl = math.max(0, left - FAILED_GRACE * 1000) end
    redis.call('ZADD', KEYS[4 + place], ttl < 0 and '+inf' or string.format('%.6f', now + ttl / 1000), id)
  end
end

if repair.place ~= '' then
  if repair.place == 'queue' or repair.place == 'scheduled' then redis.call('PERSIST', job) end
  if repair.exc then
    typed('XADD', results_prefix .. id, 'MAXLEN', 10, '*', 'worker_name', 'rq-ses audit', 'type', 2, 'exc_string',
      repair.exc_string)
    local ttl = failure_ttl()
    keep(results_prefix .. id, ttl)
    keep(job, ttl < 0 and ttl or ttl + FAILED_GRACE)
  end
  local fields = { 'status', repair.status, 'worker_name', '', execution_field, '' }
  for _, name in ipairs({ 'origin', 'meta', 'data' }) do
    if repair[name] then fields[#fields + 1], fields[#fields + 2] = name, repair[name] end
  end
  if repair.exc then
    for _, field in ipairs({ 'exc_info', repair.exc, 'ended_at', repair.now }) do fields[#fields + 1] = field end
  end
  if pushed then fields[#fields + 1], fields[#fields + 2] = 'enqueued_at', repair.now end
  redis.call('HSET', job, unpack(fields))
end

redis.call('LREM', KEYS[2], 0, id)
if repair.place ~= 'queue' then
  redis.call('LREM', KEYS[1], 0, id)
elseif #places > 1 then
  redis.call('LREM', KEYS[1], 1 - #places, id)
end
for place, name in ipairs(names) do
  if name ~= repair.place then redis.call('ZREM', KEYS[4 + place], id) end
end
for place = 3, 4 do
  for _, execution in ipairs(executions(KEYS[place])) do
    redis.call('DEL', execution_prefix .. id .. ':' .. execution[1], index_prefix .. id)
    redis.call('ZREM', KEYS[place], id .. ':' .. execution[1])
  end
end
return { seen, 'repaired' }
