-- claim: take queued jobs, in the order of the queues, and lease each to one execution of one worker.
--
-- KEYS  1 RQ's suspension flag, then for each queue: its list, its started registry, its leases
-- ARGV  1 jobs wanted   2 bytes of data after which to stop   3 worker name   4 now, in RQ's date form
--       5 lease, s   6 grace, s: RQ's own clean-up of the started registry comes that much after the lease
--       7 prefix of the execution ids   8 number of the first one
--       9-11 prefixes of the keys of jobs, executions, and a job's index of executions
-- Reply "suspended", or { number of ids dropped, blob }: of each job a head (queue's place, 1 where RQ has
--       blanked started_at (a new or requeued job), 1 where it carries callbacks or webhooks, lengths of the
--       rest) and id, data, meta. An execution's id is the prefix, its number (counted on in the order of the
--       blob) in eight hexadecimal digits, and the fresh digit.
--       Dropped: an id that RQ wouldn't make, or whose hash is gone, isn't a job, or isn't queued (canceled,
--       or in the list twice).

if redis.call('EXISTS', KEYS[1]) == 1 then return 'suspended' end

local wanted, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local worker, today, lease, grace = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local job_prefix, execution_prefix, index_prefix = ARGV[9], ARGV[10], ARGV[11]
local number, dropped = tonumber(ARGV[8]), 0
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local born = string.format('%.6f', now)
local lease_end, started_end = string.format('%.6f', now + lease), string.format('%.6f', now + lease + grace)
local keep = math.ceil(lease + grace)
local parts = {}

local function present(value) return value and value ~= '' end

for place = 0, (#KEYS - 1) / 3 - 1 do
  local list, started, leases = KEYS[2 + place * 3], KEYS[3 + place * 3], KEYS[4 + place * 3]
  -- Were one of these of another type, the script would break off with a job in its hands.
  redis.call('ZCARD', started)
  redis.call('ZCARD', leases)
  while wanted > 0 and room > 0 do
    local id = redis.call('LPOP', list)
    if not id then break end
    local job = job_prefix .. id
    local named = string.match(id, '^[%w_-]+$')
    local hash = named and redis.pcall('HMGET', job, 'status', 'data', 'meta', 'started_at', 'success_callback_name',
      'failure_callback_name', 'stopped_callback_name', 'webhooks')
    if not hash or hash.err or hash[1] ~= 'queued' or not hash[2] then
      dropped = dropped + 1
    else
      local fresh = present(hash[4]) and 0 or 1
      local execution = ARGV[7] .. string.format('%08x%d', number, fresh)
      local member = id .. ':' .. execution
      if type(redis.pcall('ZADD', index_prefix .. id, started_end, execution)) == 'table' then
        redis.call('DEL', index_prefix .. id)
        redis.call('ZADD', index_prefix .. id, started_end, execution)
      end
      redis.call('HSET', job, 'status', 'started', 'started_at', today, 'last_heartbeat', today, 'worker_name', worker)
      redis.call('PERSIST', job)
      redis.call('ZADD', started, started_end, member)
      redis.call('ZADD', leases, lease_end, member)
      redis.call('HSET', execution_prefix .. member, 'id', execution, 'job_id', id, 'created_at', born,
        'last_heartbeat', born, 'worker_name', worker)
      redis.call('EXPIRE', execution_prefix .. member, keep)
      redis.call('EXPIRE', index_prefix .. id, keep)

      local data, meta = hash[2], hash[3] or ''
      local hooked = (present(hash[5]) or present(hash[6]) or present(hash[7]) or present(hash[8])) and 1 or 0
      parts[#parts + 1] = struct.pack('>BBBI4I4I4', place, fresh, hooked, #id, #data, #meta)
      parts[#parts + 1] = id
      parts[#parts + 1] = data
      parts[#parts + 1] = meta
      wanted, room, number = wanted - 1, room - #data, number + 1
    end
  end
end
return { dropped, table.concat(parts) }
