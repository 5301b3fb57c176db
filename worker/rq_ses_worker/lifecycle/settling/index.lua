-- index: keep which jobs SES's MessageIds are, for events that carry no tags.
--
-- KEYS  1 a scratch key
-- ARGV  1 prefix of the keys   2 seconds for which they are kept   then for each mail: its MessageId, its job's id
--
-- The first write is one that a server without memory refuses. Written again, it is the same.

redis.call('SET', KEYS[1], '')
redis.call('DEL', KEYS[1])
for i = 3, #ARGV, 2 do redis.call('SET', ARGV[1] .. ARGV[i], ARGV[i + 1], 'EX', ARGV[2]) end
