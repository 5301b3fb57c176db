-- record: write a campaign's record and terms before its first entry, take numbers for its jobs, and mark its end.
--
-- KEYS  1 the set of campaigns   2 a scratch key, which never stands (rq_ses.keys)   3 the campaign's record
--       4 its terms
-- ARGV  1 "begin", "numbers" or "end"   2 its name   3 its queue   4 hash of its terms   5 the terms, deflated
--       6 how many numbers   7 who fills its template   8 prefix of the index's hashes   9 the digits that name them
-- Reply 1 "ok"; else nothing was written: "conflict" (it exists with other terms, or in another queue), "canceled",
--       "gone" (it is to go on, and isn't there)   2 the first of the numbers   3 how many entries it has already
--
-- The terms stand before the record that refers to them, and the record before any entry. Each hash of the index begins
-- with a field that is longer than a server keeps in lists (hash-max-listpack-value): in those it would look through a
-- list of 512 entries for each entry that is new, which cost more than all else.

local record = redis.call('HMGET', KEYS[3], 'terms', 'queue', 'state', 'enqueued')
local terms, queue, state, enqueued = record[1], record[2], record[3], tonumber(record[4] or 0)
if terms and (terms ~= ARGV[4] or queue ~= ARGV[3]) then return { 'conflict', 0, enqueued } end
if not terms and ARGV[1] ~= 'begin' then return { 'gone', 0, 0 } end
if state == 'canceled' and ARGV[1] ~= 'end' then return { 'canceled', 0, enqueued } end

local now = redis.call('TIME')[1]
if ARGV[1] == 'end' then
  redis.call('HSET', KEYS[3], 'complete', '1', 'changed_at', now)
  return { 'ok', 0, enqueued }
end
redis.call('SADD', KEYS[1], ARGV[2])
redis.call('SET', KEYS[4], ARGV[5], 'NX')
if ARGV[1] == 'begin' then
  for digit in string.gmatch(ARGV[9], '%x+') do redis.call('HSETNX', ARGV[8] .. digit, '', string.rep('-', 65)) end
end
if not terms then
  redis.call('HSET', KEYS[3], 'queue', ARGV[3], 'terms', ARGV[4], 'engine', ARGV[7], 'state', 'sending', 'enqueued', '0',
    'created_at', now, 'changed_at', now)
elseif ARGV[1] == 'begin' then
  redis.call('HDEL', KEYS[3], 'complete')
end
return { 'ok', redis.call('HINCRBY', KEYS[3], 'jobs', ARGV[6]) - ARGV[6] + 1, enqueued }
