-- enqueue: write jobs and their places in one step; a job that is there already is left as it is.
--
-- KEYS  1 the set of queues   then for each queue, by priority: its list, its scheduled registry
-- ARGV  1 prefix of job keys   2 "strict": a conflict refuses the whole batch, else ""   3 name of the key field
--       4 name of the recipients field   5 now, in RQ's date form   6 timeout   7 result_ttl   8 failure_ttl
--       then for each queue: its name, its wake channel
--       then for each job: queue (1 = the first), id, data, description, due ("" = now, "+s" = in s seconds,
--       else epoch seconds), key ("" or "DIGEST:NONCE"), number of recipients ("" = 1)
-- Reply one word a job: "enqueued", "ours" (an earlier try of this very call), "duplicate" (same key, same
--       message), "conflict" (same key, another message; nothing written for it, strict: for none)

local QUEUES = (#KEYS - 1) / 2
local FIRST, WIDTH = 9 + 2 * QUEUES, 7
local job_prefix, key_field, recipients_field, today = ARGV[1], ARGV[3], ARGV[4], ARGV[5]

local function standing(id, key, earlier)
  local known = earlier[id] or redis.call('HGET', job_prefix .. id, key_field)
  if key == '' or known == key then return 'ours' end
  if known and string.match(known, '^[^:]*') == string.match(key, '^[^:]*') then return 'duplicate' end
  return 'conflict'
end

if ARGV[2] == 'strict' then
  local earlier = {}
  local words, refused = {}, false
  for i = FIRST, #ARGV, WIDTH do
    local id, key = ARGV[i + 1], ARGV[i + 5]
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

local queues = {}
for place = 1, QUEUES do
  queues[place] = { list = KEYS[2 * place], scheduled = KEYS[2 * place + 1], name = ARGV[7 + 2 * place],
    channel = ARGV[8 + 2 * place], ready = {} }
end

-- Were one of another type, the script would break off with half a batch written.
for i = FIRST, #ARGV, WIDTH do
  local queue = queues[tonumber(ARGV[i])]
  if ARGV[i + 4] == '' then
    queue.size = queue.size or redis.call('LLEN', queue.list)
  elseif not queue.has_registry then
    redis.call('ZCARD', queue.scheduled)
    queue.has_registry = true
  end
end

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local words = {}

for i = FIRST, #ARGV, WIDTH do
  local place, id, data, description, due, key, recipients = unpack(ARGV, i, i + WIDTH - 1)
  local job, queue = job_prefix .. id, queues[tonumber(place)]
  if redis.call('EXISTS', job) == 1 then
    words[#words + 1] = standing(id, key, {})
  else
    local later = due ~= ''
    redis.call('HSET', job, 'created_at', today, 'status', later and 'scheduled' or 'queued', 'origin', queue.name,
      'timeout', ARGV[6], 'result_ttl', ARGV[7], 'failure_ttl', ARGV[8], 'description', description, 'data', data)
    if key ~= '' then redis.call('HSET', job, key_field, key) end
    if recipients ~= '' then redis.call('HSET', job, recipients_field, recipients) end
    if later then
      local score = string.sub(due, 1, 1) == '+' and string.format('%.6f', now + tonumber(due)) or due
      redis.call('ZADD', queue.scheduled, score, id)
    else
      redis.call('HSET', job, 'enqueued_at', today)
      queue.ready[#queue.ready + 1] = id
    end
    words[#words + 1] = 'enqueued'
  end
end

for _, queue in ipairs(queues) do
  if queue.size or queue.has_registry then redis.call('SADD', KEYS[1], queue.list) end
  local ready = queue.ready
  for i = 1, #ready, 1000 do
    redis.call('RPUSH', queue.list, unpack(ready, i, math.min(i + 999, #ready)))
  end
  if queue.size == 0 and #ready > 0 then redis.call('PUBLISH', queue.channel, '') end
end
return words
