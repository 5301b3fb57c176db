-- store: write an event of a mail once, with all that follows from it. Storing it again changes nothing.
-- (typed.lua, outcome.lua, finish.lua, resolve.lua, suppress.lua)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys)   2 hash of the mail's events   3 hash of the counters
--       4 hash in which the same event may be told without the mail's tag, or 2 again
-- ARGV  1 prefix of all keys   2 the mail's job ("": not known)   3 SES's MessageId   4 seconds it is kept
--       5 states, the worst last, with a blank between two   6 the state that the event tells of ("": none)
--       7 "1": SES had accepted the mail   8 counter   9 by how much it grows   10 counters at most
--       11 events of a mail at most (of kinds that may come any number of times), "" = any number
--       12 when SES took the mail (epoch seconds)
--       13 the stream of outcomes, 14 entries that it holds at most, and 15 the event as hooks are told it (JSON);
--       "" for the first: nobody is told
--       then for each recipient: field, value, address to suppress in its normal form ("": none),
--       reason, text
-- Reply 1 how many of the fields are new   2 what resolving the mail's doubt came to ("": nothing was in doubt)
--
-- What follows from an event is done first, each so that it can be done again, and the event is marked as stored last:
-- if the script is broken off, SNS repeats the event and all of it is done. Counters fail alone. The first write is
-- one that a server without memory refuses.

local WIDTH, FIRST = 5, 16
local events, ttl = KEYS[2], tonumber(ARGV[4])
redis.call('SETRANGE', KEYS[1], 0, '')

local names = { 'state' }
for at = FIRST, #ARGV, WIDTH do names[#names + 1] = ARGV[at] end
local known = redis.call('HMGET', events, unpack(names))
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
-- An identity's notification has no tag: what came by one already is no news.
local elsewhere = KEYS[4] ~= events and redis.call('HMGET', KEYS[4], unpack(names)) or {}
local fresh, marks, unkept, unheard = {}, {}, 0, 0
local room = ARGV[11] ~= '' and tonumber(ARGV[11]) - redis.call('HLEN', events) or 1e9
for place = 2, #names do
  if not known[place] then
    local at = FIRST + (place - 2) * WIDTH
    if not elsewhere[place] then
      unheard = unheard + 1
      marks[#marks + 1], marks[#marks + 2] = ARGV[at], ARGV[at + 1]
    end
    if ARGV[at + 2] ~= '' and not elsewhere[place] then
      suppress(ARGV[1], ARGV[at + 2], ARGV[at + 3], now, ARGV[at + 4])
    end
    if #fresh < 2 * room then
      fresh[#fresh + 1], fresh[#fresh + 2] = ARGV[at], ARGV[at + 1]
    else
      unkept = unkept + 1
    end
  end
end
local new = #fresh / 2 + unkept
if new == 0 then return { 0, '' } end

if ARGV[13] ~= '' then outcome(ARGV[13], ARGV[14], ARGV[15]) end
local resolved = ''
if ARGV[7] == '1' and ARGV[2] ~= '' then
  resolved = resolve(ARGV[1], ARGV[2], ARGV[3], now, tonumber(ARGV[12])) or ''
end

-- A state's place among them; one that isn't there is the least.
local function rank(state)
  local place = 0
  for one in string.gmatch(ARGV[5], '%S+') do
    place = place + 1
    if one == state then return place end
  end
  return 0
end

if rank(ARGV[6]) > rank(known[1]) then fresh[#fresh + 1], fresh[#fresh + 2] = 'state', ARGV[6] end
if #fresh > 0 then
  redis.call('HSET', events, unpack(fresh))
  redis.call('EXPIRE', events, ttl)
end

if KEYS[4] ~= events and #marks > 0 then
  redis.call('HSET', KEYS[4], unpack(marks))
  redis.call('EXPIRE', KEYS[4], ttl)
end
if unheard == 0 then return { new, resolved } end

local count = redis.pcall('HINCRBY', KEYS[3], ARGV[8], ARGV[9])
if count == tonumber(ARGV[9]) and redis.call('HLEN', KEYS[3]) > tonumber(ARGV[10]) then
  redis.pcall('HDEL', KEYS[3], ARGV[8])
  redis.pcall('HINCRBY', KEYS[3], 'other', ARGV[9])
end
return { new, resolved }
