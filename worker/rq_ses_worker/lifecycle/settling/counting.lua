-- counting: what a batch has done, for show; put in front of settle and split. (typed.lua)

-- One of a group was written: a bulk job counts as many times as it has entries.
-- group.entries: how many; group.campaign: whose; word: what became of it
local function count_entries(batch, group, word)
  local action, more = word == 'told' and 'sent' or group.action, group.entries - 1
  if action == 'sent' then
    batch.succeeded = batch.succeeded + more
    local counts = batch.campaigns[group.campaign] or { sent = 0, canceled = 0 }
    counts.sent = counts.sent + group.entries
    -- Canceled with its campaign while it was being sent, it was counted as that.
    if word == 'accepted' then counts.canceled = counts.canceled - group.entries end
    batch.campaigns[group.campaign] = counts
  elseif action == 'failed' then
    batch.failed = batch.failed + more
  elseif action == 'retry' then
    batch.retried = batch.retried + more
  end
end

-- Counting into a hash that has expired would bring it back without its TTL. A campaign's record whose counts are too low
-- is kept for longer, one whose counts are too high would be swept before its time: so nothing is counted twice.
local function count_all(batch)
  if batch.succeeded + batch.failed + batch.retried > 0 then
    local counts = redis.pcall('HMGET', KEYS[1], 'birth', 'successful_job_count', 'failed_job_count',
      'total_working_time')
    if counts[1] then
      redis.pcall('HSET', KEYS[1], 'successful_job_count', (tonumber(counts[2]) or 0) + batch.succeeded,
        'failed_job_count', (tonumber(counts[3]) or 0) + batch.failed,
        'total_working_time', string.format('%.6f', (tonumber(counts[4]) or 0) + ARGV[12]))
      if batch.retried > 0 then redis.pcall('HINCRBY', KEYS[1], RETRIED_FIELD, batch.retried) end
    end
  end
  for campaign, counts in pairs(batch.campaigns) do
    local record = string.sub(ARGV[1], 1, -5) .. 'ses:campaign:' .. campaign
    local known = redis.pcall('HMGET', record, 'state', 'canceled')
    if known[1] then
      local canceled = math.max(counts.canceled, -(tonumber(known[2] or '') or 0))
      if canceled ~= 0 then redis.pcall('HINCRBY', record, 'canceled', canceled) end
      if counts.sent > 0 then redis.pcall('HINCRBY', record, 'sent', counts.sent) end
      redis.pcall('HSET', record, 'changed_at', string.format('%d', batch.now))
    end
  end
end
