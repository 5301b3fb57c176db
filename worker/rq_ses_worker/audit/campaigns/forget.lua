-- forget: delete what is kept of a campaign that has ended: its index, its record, and its terms, if no other has them.
-- (typed.lua)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys)   2 the set of campaigns   3 the campaign's record
-- ARGV  1 its name   2 seconds for which it must not have changed   3 prefix of records   4 prefix of terms
--       5 hex digits of an entry's id that name a hash of the index
-- Reply "forgotten"; "gone" (there was no record: its name goes from the set); "kept" (it isn't ended, or has changed
--       lately)
--
-- All in one step, by its counts as they are now: a producer that begins again under the name finds all of it, or
-- none. Ended is what is complete, or canceled, and has no entry that is not accounted for: then no job refers to
-- the terms. Broken off, it is kept with a part of its index, or its terms are left without a record (audit).

local UNLINKED = 256
redis.call('DEL', KEYS[1])
local record = typed('HMGET', KEYS[3], 'state', 'complete', 'enqueued', 'sent', 'canceled', 'discarded', 'changed_at',
  'writing', 'terms')
if not record or redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('SREM', KEYS[2], ARGV[1])
  return 'gone'
end

local function number(text) return tonumber(text or '0') end
local enqueued, sent, canceled, discarded = number(record[3]), number(record[4]), number(record[5]), number(record[6])
local changed = tonumber(record[7] or '')
local ended = record[2] == '1' or record[1] == 'canceled'
if not ended or not changed or (record[8] or '') ~= '' or not (enqueued and sent and canceled and discarded) then return 'kept' end
if enqueued ~= sent + canceled + discarded then return 'kept' end
local time = redis.call('TIME')
if time[1] - changed < tonumber(ARGV[2]) then return 'kept' end

local digits = '%0' .. ARGV[5] .. 'x'
local keys = {}
for bucket = 0, 16 ^ ARGV[5] - 1 do
  keys[#keys + 1] = ARGV[3] .. ARGV[1] .. ':' .. string.format(digits, bucket)
  if #keys == UNLINKED then
    redis.call('UNLINK', unpack(keys))
    keys = {}
  end
end
redis.call('UNLINK', KEYS[3], unpack(keys))
redis.call('SREM', KEYS[2], ARGV[1])

if record[9] then
  for _, name in ipairs(typed('SMEMBERS', KEYS[2]) or {}) do
    if typed('HGET', ARGV[3] .. name, 'terms') == record[9] then return 'forgotten' end
  end
  redis.call('UNLINK', ARGV[4] .. record[9])
end
return 'forgotten'
