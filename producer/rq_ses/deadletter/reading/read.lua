-- read: tell what is kept of some failed mails, oldest first; nothing is changed.
--
-- KEYS  1 the queue's failed registry   2 a scratch key, which never stands (rq_ses.keys)
-- ARGV  1 prefix of job keys   2 name of the field that says when a mail was resent last
--       3 bytes after which to stop   4 how many entries at most   5 bytes of `data` that are sent along at most
--       6 prefix of RQ's results   7 and 8 names of the fields of a campaign's name, and of the number of recipients
--       9 where to begin: "after" 10 a score and 11 an id ("" and "": at the beginning), or "ids" and ids from 10
--       on
-- Reply one blob, for many small replies cost the reader most of its time. An entry is thirteen numbers (unsigned, 32
--       bits, big-endian): the bytes of `data`, and the lengths of what follows them: id, score ("": not in the
--       registry), status ("": no such job), ended_at, meta, exc_info (without a hint), description, when it was
--       resent last (epoch seconds), data ("": too large), exc_string of RQ's newest result ("": not looked for, as
--       our workers write both), name of the campaign whose entries it sends ("": none), number of recipients. Fewer entries than there are if the bytes were reached, but one at least

local META, EXC, EXC_TAIL, DESCRIPTION, RESULT, NAME = 65536, 16384, 4096, 4096, 65536, 200
local registry, job_prefix, resent_field, most_bytes = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local count, along, results_prefix = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local campaign_field, recipients_field = ARGV[7], ARGV[8]

-- Lua compares texts by the server's locale, Redis its members byte by byte.
local function up_to(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a <= #b
end

-- By score and member, not by rank: what is resent or deleted meanwhile must not move anything out of sight.
local function rank_after(score, member)
  local low, high = 0, redis.call('ZCARD', registry)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', registry, middle, middle, 'WITHSCORES')
    local at = tonumber(found[2])
    if at < score or (at == score and up_to(found[1], member)) then low = middle + 1 else high = middle end
  end
  return low
end

local ids, scores = {}, {}
if ARGV[9] == 'ids' then
  for i = 10, #ARGV do
    ids[#ids + 1] = ARGV[i]
    scores[#scores + 1] = redis.call('ZSCORE', registry, ARGV[i]) or ''
  end
else
  local first = ARGV[10] == '' and 0 or rank_after(tonumber(ARGV[10]), ARGV[11])
  local found = redis.call('ZRANGE', registry, first, first + count - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    ids[#ids + 1] = found[i]
    scores[#scores + 1] = found[i + 1]
  end
end

local function bounded(text, most, tail)
  if not text then return '' end
  if #text <= most then return text end
  return tail and string.sub(text, -tail) or ''
end

-- RQ writes a failure's reason into its newest result alone; what it leaves in the hash is empty, or older.
local function result_of(id, exc)
  if exc ~= '' and string.byte(exc) ~= 120 then return '' end
  local found = redis.pcall('XREVRANGE', results_prefix .. id, '+', '-', 'COUNT', 1)
  local fields, values = not found.err and found[1] and found[1][2] or {}, {}
  for i = 1, #fields, 2 do values[fields[i]] = fields[i + 1] end
  return values.type == '2' and bounded(values.exc_string, RESULT) or ''
end

local parts, bytes = {}, 0
for i, id in ipairs(ids) do
  local key, size = job_prefix .. id, 0
  local status, ended, meta, exc, description, resent, data, result = '', '', '', '', '', '', '', ''
  local campaign, recipients = '', ''
  local found = scores[i] ~= ''
    and redis.pcall('HMGET', key, 'status', 'ended_at', 'meta', 'exc_info', 'description', resent_field,
      campaign_field, recipients_field)
  -- A key of another type is no mail; any other error must not count as that.
  if found and found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
  if found and not found.err then
    size = redis.call('HSTRLEN', key, 'data')
    status, ended, resent = found[1] or '', found[2] or '', found[6] or ''
    meta, exc = bounded(found[3], META), bounded(found[4], EXC, EXC_TAIL)
    -- The hint under it is as long again, and the reader knows it anyway.
    local hint = string.find(exc, '\nHint: ', 1, true)
    if hint then exc = string.sub(exc, 1, hint - 1) end
    description, result = bounded(found[5], DESCRIPTION), result_of(id, exc)
    campaign, recipients = bounded(found[7], NAME), bounded(found[8], NAME)
    if size > 0 and size <= along then data = redis.call('HGET', key, 'data') end
  end
  local n = #parts
  parts[n + 1] = struct.pack('>I4I4I4I4I4I4I4I4I4I4I4I4I4', size, #id, #scores[i], #status, #ended, #meta, #exc,
    #description, #resent, #data, #result, #campaign, #recipients)
  parts[n + 2], parts[n + 3], parts[n + 4], parts[n + 5], parts[n + 6] = id, scores[i], status, ended, meta
  parts[n + 7], parts[n + 8], parts[n + 9], parts[n + 10], parts[n + 11] = exc, description, resent, data, result
  parts[n + 12], parts[n + 13] = campaign, recipients
  bytes = bytes + #meta + #exc + #description + #data + #result
  if bytes > most_bytes then break end
end
return table.concat(parts)
