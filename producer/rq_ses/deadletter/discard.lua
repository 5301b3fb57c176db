-- discard: delete failed mails, each only if it still is the failed mail that was read; those that are a campaign's
-- are counted in its record.
--
-- KEYS  1 the failed registry   2 a scratch key, which never stands (rq_ses.keys)
-- ARGV  1 prefix of job keys   2 prefix of result keys   3 prefix of the records of campaigns
--       4 and 5 names of the fields of a campaign's name, and of the number of recipients
--       then for each mail: id, the ended_at that was read
-- Reply one word a mail: "discarded"; "gone" (no failed mail any more); "changed" (it failed anew since it was read)

local failed, job_prefix, results_prefix, record_prefix = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local words = {}

-- Its number is read before the job is gone, and written after it: broken off between, audit finds it.
local function count(name, mails)
  local record = record_prefix .. name
  if redis.call('EXISTS', record) == 1 then
    local time = redis.call('TIME')
    redis.call('HINCRBY', record, 'discarded', mails)
    redis.call('HSET', record, 'changed_at', string.format('%d.%06d', time[1], time[2]))
  end
end

for i = 6, #ARGV, 2 do
  local id, ended_at = ARGV[i], ARGV[i + 1]
  local job, word = job_prefix .. id, 'gone'
  local found = redis.call('ZSCORE', failed, id) and redis.pcall('HMGET', job, 'status', 'ended_at', ARGV[4], ARGV[5])
  -- A key of another type is no mail; any other error must not count as "gone".
  if found and found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
  if found and not found.err and found[1] == 'failed' then
    word = (found[2] or '') == ended_at and 'discarded' or 'changed'
  end
  if word == 'discarded' then
    -- The registry last: an entry without a job is dropped by anybody, a job without one would be put back.
    redis.call('DEL', job, results_prefix .. id)
    redis.call('ZREM', failed, id)
    if found[3] then count(found[3], math.floor(tonumber(found[4] or '') or 1)) end
  end
  words[#words + 1] = word
end
return words
