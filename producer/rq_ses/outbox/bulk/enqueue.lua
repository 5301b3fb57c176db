-- enqueue: write bulk jobs of a campaign, and its index, in one step; an entry that is known is never queued again.
--
-- KEYS  1 the set of queues   2 a scratch key, which never stands (rq_ses.keys)   3 the campaign's record
--       4 its queue's list
-- ARGV  1 prefix of job keys   2 prefix of the index's hashes   3 name of the campaign field
--       4 name of the recipients field   5 the campaign   6 hash of its terms   7 now, in RQ's date form   8 timeout
--       9 result_ttl   10 failure_ttl   11 name of the queue   12 its wake channel
--       then for each job: its number, id, description, data ("" = only asked about), and of each entry the
--       character that names its hash in the index and the 12 bytes that are its field there
-- Reply 1 "ok"; or "gone" or "canceled", as the campaign is: then nothing was written
--       then a word a job: "enqueued" (by this call), "ours" (by an earlier try of this very call); else nothing was
--       written for it, and a character an entry says why: "1" is known by another job, "0" is not
--
-- What is being written is noted in the record first (`writing`, "NUMBER:ID:ENTRIES …"), and counted when it stands:
-- should the script break off, the index may name a job that doesn't exist, whose entries are as good as unknown then.
-- How far it came is noted, too (`written`, the number of the last job that stands, and all noted before it do): a job
-- that was sent, and forgotten since, doesn't exist either.
-- One that exists has all its entries in the index, which is written before; places before hashes, as always.

local FIRST, WIDTH, ENTRY = 13, 5, 13
local record = redis.call('HMGET', KEYS[3], 'state', 'terms', 'enqueued', 'writing', 'written')
if record[4] == '' then record[4] = false end
if not record[2] or record[2] ~= ARGV[6] then return { 'gone' } end
if record[1] == 'canceled' then return { 'canceled' } end

-- Jobs that a script which broke off had noted: those that exist are counted now, the others lost.
local count, lost, left = tonumber(record[3] or 0), {}, {}
local written = record[5] and string.find(' ' .. (record[4] or ''), ' ' .. record[5] .. ':', 1, true)
for number, id, entries in string.gmatch(record[4] or '', '(%d+):(%x+):(%d+)') do
  if written or redis.call('EXISTS', ARGV[1] .. id) == 1 then
    count = count + entries
    written = written and number ~= record[5]
  else
    lost[number], left[#left + 1] = true, number .. ':' .. id .. ':' .. entries
  end
end

-- What the index says, asked of each of its hashes at once: fields and values in the order in which jobs name them.
local index = {}
for i = FIRST, #ARGV, WIDTH do
  local ids = ARGV[i + 4]
  for at = 1, #ids, ENTRY do
    local place = string.sub(ids, at, at)
    local part = index[place]
    if not part then
      part = { fields = {}, read = 0, new = {} }
      index[place] = part
    end
    part.fields[#part.fields + 1] = string.sub(ids, at + 1, at + ENTRY - 1)
  end
end
for place, part in pairs(index) do
  part.values = redis.call('HMGET', ARGV[2] .. place, unpack(part.fields))
end

local words, chosen, writing = { 'ok' }, {}, {}
local taken = {}
local function look(i)
  local number, asked, ids = ARGV[i], ARGV[i + 3] == '', ARGV[i + 4]
  local known, mine, told, parts, fields = 0, 0, {}, {}, {}
  for at = 1, #ids, ENTRY do
    local part = index[string.sub(ids, at, at)]
    part.read = part.read + 1
    local field = part.fields[part.read]
    local value = taken[field] or part.values[part.read]
    told[#told + 1] = '0'
    if value == number then
      mine = mine + 1
    elseif value and not lost[value] then
      known, told[#told] = known + 1, '1'
    end
    parts[#told], fields[#told] = part, field
  end
  if asked or known > 0 then return table.concat(told) end
  if mine == #told and not lost[number] then return 'ours' end
  for at, part in ipairs(parts) do
    local size = #part.new
    part.new[size + 1], part.new[size + 2], taken[fields[at]] = fields[at], number, number
  end
  chosen[#chosen + 1] = i
  writing[#writing + 1] = number .. ':' .. ARGV[i + 1] .. ':' .. #told
  return 'enqueued'
end
for i = FIRST, #ARGV, WIDTH do words[#words + 1] = look(i) end
if #chosen == 0 and not record[4] then return words end

local before = count
-- Of this call's own jobs a try before this one may have noted some: they are counted once.
for _, i in ipairs(chosen) do
  for at = #left, 1, -1 do
    if string.match(left[at], '^%d+') == ARGV[i] then table.remove(left, at) end
  end
  count = count + #ARGV[i + 4] / ENTRY
end
local noted = table.concat(left, ' ')
redis.call('HSET', KEYS[3], 'enqueued', string.format('%d', before), 'writing',
  table.concat(writing, ' ') .. ' ' .. noted, 'written', '')
for place, part in pairs(index) do
  if #part.new > 0 then redis.call('HSET', ARGV[2] .. place, unpack(part.new)) end
end
local wakes = false
if #chosen > 0 then
  local ids = {}
  for at, i in ipairs(chosen) do ids[at] = ARGV[i + 1] end
  redis.call('SADD', KEYS[1], KEYS[4])
  wakes = redis.call('RPUSH', KEYS[4], unpack(ids)) == #ids
end
for _, i in ipairs(chosen) do
  redis.call('HSET', ARGV[1] .. ARGV[i + 1], 'created_at', ARGV[7], 'status', 'queued', 'origin', ARGV[11],
    'timeout', ARGV[8], 'result_ttl', ARGV[9], 'failure_ttl', ARGV[10], 'enqueued_at', ARGV[7],
    'description', ARGV[i + 2], 'data', ARGV[i + 3], ARGV[3], ARGV[5],
    ARGV[4], string.format('%d', #ARGV[i + 4] / ENTRY))
  redis.pcall('HSET', KEYS[3], 'written', ARGV[i])
end
redis.call('HSET', KEYS[3], 'enqueued', string.format('%d', count), 'writing', noted,
  'changed_at', redis.call('TIME')[1])
if noted == '' then redis.call('HDEL', KEYS[3], 'writing', 'written') end
-- A wake-up that is refused costs a moment, no mail: all is written.
if wakes then redis.pcall('PUBLISH', ARGV[12], '') end
return words
