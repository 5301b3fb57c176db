-- state: pause a campaign, let it go on, or cancel it; what it has in the queue follows by and by.
--
-- KEYS  1 its record   2 a scratch key, which never stands (rq_ses.keys)
-- ARGV  1 the state it shall have: "paused", "sending" or "canceled"
-- Reply the state it had; "" if there is no such campaign. What is canceled stays so

local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
if state ~= 'canceled' and state ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'state', ARGV[1], 'changed_at', redis.call('TIME')[1])
end
return state
