-- resolve: what becomes of a mail in doubt once an event of SES's proves that SES has accepted it; put in front of
-- scripts. (typed.lua, finish.lua)
--
-- resolve(root, id, message_id, now, accepted)
--   root        what all keys begin with
--   id          the job's, as the mail's tag has it
--   message_id  SES's, as the event has it
--   now         the server's time, and `accepted` when SES accepted this very mail (mail.timestamp): epoch seconds
-- Reply one word:
--   sent    it was in doubt, failed or waiting, and is finished now: nobody will send it again
--   noted   it is being sent: however that ends, it will be finished (settle.lua)
--   ""      it was not in doubt, is over, was given up, is forgotten, or isn't the mail that SES speaks of
--
-- A key is a job's id, and may come to stand for another mail once its receipt is gone; so the event must be of a copy
-- that was accepted since the job was made. Hosts' clocks may differ: a key is remembered for a day, so an hour is
-- neither here nor there; but a key that was freed by canceling says since when. What a person has resent since is for another copy, and stays.
--
-- Under a scratch key that the caller declares and has written. A mail's new place is written first, then its result
-- and its hash, and its old places go last: broken off, it is called again, and completes what it began.

-- In RQ's date form. (Days into a date: Howard Hinnant's civil_from_days, for years from 1970 on.)
local function dated(seconds)
  local whole = math.floor(seconds)
  local days, rest = math.floor(whole / 86400), whole % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - math.floor((153 * mp + 2) / 5) + 1, math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60,
    math.floor((seconds - whole) * 1000000))
end

local function base64(text)
  local letters, out = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', {}
  for at = 1, #text, 3 do
    local a, b, c = string.byte(text, at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 0, 3 do
      local six = math.floor(bits / 64 ^ (3 - place)) % 64 + 1
      out[#out + 1] = (place > 1 and not b or place > 2 and not c) and '=' or string.sub(letters, six, six)
    end
  end
  return table.concat(out)
end

local function is_in_doubt(meta)
  if not string.find(meta, '"ambiguous"', 1, true) then return false end
  local fine, told = pcall(cjson.decode, meta)
  local count = fine and type(told) == 'table' and told.ambiguous
  return type(count) == 'number' and count > 0
end

-- Take a finished mail out of the registries where it waited. Of a list it needn't be: claim drops what isn't queued.
local function leave(root, origin, id)
  typed('ZREM', root .. 'failed:' .. origin, id)
  typed('ZREM', root .. 'scheduled:' .. origin, id)
end

local function finish(root, id, now, accepted, result, old, meta)
  local batch = { now = now, jobs = root .. 'job:', results = root .. 'results:', worker = '',
    scratch = root .. 'ses:scratch', result_scratch = root .. 'ses:scratch:result', ttls = {}, made = {} }
  local ttl, origin = receipt_ttl(batch, old), old[9]
  redis.call('DEL', batch.scratch, batch.result_scratch)
  if ttl == 0 then
    redis.call('DEL', batch.jobs .. id)
  else
    typed('ZADD', root .. 'finished:' .. origin, until_score(batch, ttl), id)
    add_result(batch, id, ttl, '1', 'return_value', result)
    put_receipt(batch, id, ttl, origin, dated(accepted), noted(meta, TOLD), old)
    redis.call('DEL', batch.scratch, batch.result_scratch)
  end
  if old[1] == 'queued' then typed('LREM', root .. 'queue:' .. origin, 1, id) end
  leave(root, origin, id)
end

-- within: the id is that of a bulk job with the one entry that the event speaks of
local function resolve(root, id, message_id, now, accepted, within)
  local job = root .. 'job:' .. id
  local old = typed('HMGET', job, 'status', 'meta', 'created_at', 'enqueued_at', 'started_at', 'description', 'result_ttl',
    KEY_FIELD, 'origin', RESENT_FIELD, CAMPAIGN_FIELD, RECIPIENTS_FIELD, SINCE_FIELD)
  local status = old and old[1]
  if not status then
    -- An entry that is held may have stayed in a job with an id of its own (engine/bulk/told.py).
    local other = not within and typed('GET', root .. 'ses:message:' .. id)
    return other and resolve(root, other, message_id, now, accepted, true) or ''
  end
  if within and not old[11] then return '' end
  local meta, created, origin = old[2] or '', old[3] or '', old[9] or ''
  if status == 'finished' then
    if string.find(meta, TOLD, 1, true) then leave(root, origin, id) end
    return ''
  end
  -- A part of a bulk job has its first entry's id, and the event speaks of that entry alone.
  if old[11] and (tonumber(old[12] or '') or 1) > 1 then return '' end
  if origin == '' or not string.match(created, '^%d%d%d%d%-') then return '' end
  if created > dated(accepted + 3600) then return '' end
  if accepted < math.max(tonumber(old[10] or '') or 0, tonumber(old[13] or '') or 0) then return '' end

  local result = base64('{"message_id": "' .. message_id .. '"}')
  if status == 'started' then
    redis.call('HSET', job, ACCEPTED_FIELD, result)
    return 'noted'
  end
  if not is_in_doubt(meta) then return '' end
  local waits = status == 'failed' and typed('ZSCORE', root .. 'failed:' .. origin, id)
    or status == 'scheduled' and typed('ZSCORE', root .. 'scheduled:' .. origin, id)
    or status == 'queued' and typed('LPOS', root .. 'queue:' .. origin, id)
  if not waits then return '' end
  finish(root, id, now, accepted, result, old, meta)
  if old[11] then
    local record = root .. 'ses:campaign:' .. old[11]
    if redis.call('EXISTS', record) == 1 then redis.pcall('HINCRBY', record, 'sent', tonumber(old[12] or '') or 1) end
  end
  return 'sent'
end
