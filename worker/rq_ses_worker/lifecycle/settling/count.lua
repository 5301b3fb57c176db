-- count: write what a worker has done since it was born, for show.
--
-- KEYS  1 its hash
-- ARGV  1 mails sent   2 failed   3 attempts that are to be made again   4 seconds worked
-- Reply 1, or 0 where nothing was written
--
-- Written into a hash that has expired, it would bring that back without its TTL: the heartbeat does, and all is
-- written again.

if redis.call('HEXISTS', KEYS[1], 'birth') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'successful_job_count', ARGV[1], 'failed_job_count', ARGV[2], RETRIED_FIELD, ARGV[3],
  'total_working_time', ARGV[4])
return 1
