-- count: write what a worker has done since it was born, for show. Twice is once, and what comes late changes nothing.
-- Its hash may have expired: to count would bring it back without its TTL.
--
-- KEYS  1 its hash   2 a scratch key
-- ARGV  1 mails sent   2 failed   3 attempts that are to be made again   4 seconds worked

local counts = redis.call('HMGET', KEYS[1], 'birth', 'total_working_time')
if not counts[1] or (tonumber(counts[2]) or 0) > tonumber(ARGV[4]) then return end
redis.call('HSET', KEYS[1], 'successful_job_count', ARGV[1], 'failed_job_count', ARGV[2], RETRIED_FIELD, ARGV[3],
  'total_working_time', ARGV[4])
