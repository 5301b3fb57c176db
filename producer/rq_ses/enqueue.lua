-- enqueue: write jobs and their places in one step; a job that is there already is left as it is.
--
-- KEYS  1 the queue's list   2 its scheduled registry   3 the set of queues
-- ARGV  1 the queue's key    2 prefix of job keys   3 wake channel   4 "strict": a conflict refuses the whole
--       batch, else ""       5 name of the key field
--       6 now, in RQ's date form   7 origin   8 timeout   9 result_ttl   10 failure_ttl
--       then for each job: id, data, description, due ("" = now, "+s" = in s seconds, else epoch seconds),
--       key ("" or "DIGEST:NONCE")
-- Reply one word a job: "enqueued", "ours" (an earlier try of this very call), "duplicate" (same key, same
--       message), "conflict" (same key, another message; nothing written for it, strict: for none)

local queue, scheduled, queues = KEYS[1], KEYS[2], KEYS[3]
local job_prefix, key_field = ARGV[2], ARGV[5]

local function standing(id, key, earlier)
  local known = earlier[id] or redis.call('HGET', job_prefix .. id, key_field)
  if key == '' or known == key then return 'ours' end
  if known and string.match(known, '^[^:]*') == string.match(key, '^[^:]*') then return 'duplicate' end
  return 'conflict'
end

if ARGV[4] == 'strict' then
  local earlier = {}
  local words, refused = {}, false
  for i = 11, #ARGV, 5 do
    local id, key = ARGV[i], ARGV[i + 4]
    if earlier[id] or redis.call('EXISTS', job_prefix .. id) == 1 then
      words[#words + 1] = standing(id, key, earlier)
      refused = refused or words[#words] == 'conflict'
    else
      words[#words + 1] = 'refused'
      earlier[id] = key
    end
  end
  if refused then return words end
end

-- Were this of another type, the script would break off with half a batch written (LLEN looks at the list).
if type(redis.pcall('ZCARD', scheduled)) == 'table' then
  for i = 14, #ARGV, 5 do
    if ARGV[i] ~= '' then return redis.error_reply('WRONGTYPE ' .. scheduled .. ' is no sorted set') end
  end
end
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local was_empty = redis.call('LLEN', queue) == 0
local ready, words = {}, {}

for i = 11, #ARGV, 5 do
  local id, data, description, due, key = unpack(ARGV, i, i + 4)
  local job = job_prefix .. id
  if redis.call('EXISTS', job) == 1 then
    words[#words + 1] = standing(id, key, {})
  else
    local later = due ~= ''
    redis.call('HSET', job, 'created_at', ARGV[6], 'status', later and 'scheduled' or 'queued', 'origin', ARGV[7],
      'timeout', ARGV[8], 'result_ttl', ARGV[9], 'failure_ttl', ARGV[10], 'description', description, 'data', data)
    if key ~= '' then redis.call('HSET', job, key_field, key) end
    if later then
      local score = string.sub(due, 1, 1) == '+' and string.format('%.6f', now + tonumber(due)) or due
      redis.call('ZADD', scheduled, score, id)
    else
      redis.call('HSET', job, 'enqueued_at', ARGV[6])
      ready[#ready + 1] = id
    end
    words[#words + 1] = 'enqueued'
  end
end

redis.call('SADD', queues, ARGV[1])
for i = 1, #ready, 1000 do
  redis.call('RPUSH', queue, unpack(ready, i, math.min(i + 999, #ready)))
end
if was_empty and #ready > 0 then redis.call('PUBLISH', ARGV[3], '') end
return words
