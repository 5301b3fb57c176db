-- look: all that is kept of one mail, and what SES has told of it, as they stand at one moment. It writes nothing.
-- (typed.lua)
--
-- KEYS  1 a scratch key   2 the job's hash   3 its results   4 RQ's index of its executions   5 hash of its events
--       then for each of our queues: its list, its scheduled, finished, failed, canceled and deferred registries
-- ARGV  1 its id   2 bytes of data that are read at most   then fields of the hash
-- Reply the server's time; the fields; bytes of data; seconds to live; the newest result; 1 if there is an index; the
--       events; data; and for each queue its place in the list, and its scores. A key of another type holds nothing.

local function kept(...)
  local reply = typed(...)
  return reply == nil and false or reply
end

local id, job = ARGV[1], KEYS[2]
local size = kept('HSTRLEN', job, 'data') or 0
local found = { redis.call('TIME'), kept('HMGET', job, unpack(ARGV, 3)) or {}, size, redis.call('TTL', job),
  kept('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1) or {}, redis.call('EXISTS', KEYS[4]), kept('HGETALL', KEYS[5]) or {},
  size > 0 and size <= tonumber(ARGV[2]) and kept('HGET', job, 'data') or '' }
for i = 6, #KEYS, 6 do
  found[#found + 1] = kept('LPOS', KEYS[i], id)
  for registry = i + 1, i + 5 do found[#found + 1] = kept('ZSCORE', KEYS[registry], id) end
end
return found
