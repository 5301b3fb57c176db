-- count: add to what a worker has done, for show. Its hash may have expired: to count would bring it back without its TTL.
--
-- KEYS  1 its hash   2 a scratch key
-- ARGV  1 mails sent   2 failed   3 attempts that are to be made again   4 seconds worked

local counts = redis.call('HMGET', KEYS[1], 'birth', 'successful_job_count', 'failed_job_count', 'total_working_time')
if not counts[1] then return end
redis.call('HSET', KEYS[1], 'successful_job_count', (tonumber(counts[2]) or 0) + ARGV[1],
  'failed_job_count', (tonumber(counts[3]) or 0) + ARGV[2],
  'total_working_time', string.format('%.6f', (tonumber(counts[4]) or 0) + ARGV[4]))
if ARGV[3] ~= '0' then redis.call('HINCRBY', KEYS[1], RETRIED_FIELD, ARGV[3]) end
