-- counting: entries of campaigns that a batch has sent or found canceled; put in front of settle and split.

-- A bulk job was written: it counts as many times as it has entries.
-- group.entries: how many; group.campaign: whose; word: what became of it
local function count_entries(batch, group, word)
  if word ~= 'told' and group.action ~= 'sent' then return end
  local counts = batch.campaigns[group.campaign] or { sent = 0, canceled = 0 }
  counts.sent = counts.sent + group.entries
  -- Canceled with its campaign while it was being sent, it was counted as that.
  if word == 'accepted' then counts.canceled = counts.canceled - group.entries end
  batch.campaigns[group.campaign] = counts
end

-- Counting into a hash that has expired would bring it back without its TTL. A record whose counts are too low is kept
-- for longer, one whose counts are too high would be swept before its time: so nothing is counted twice.
local function count_all(batch)
  for campaign, counts in pairs(batch.campaigns) do
    local record = batch.root .. 'ses:campaign:' .. campaign
    local known = redis.pcall('HMGET', record, 'state', 'canceled')
    if known[1] then
      local canceled = math.max(counts.canceled, -(tonumber(known[2] or '') or 0))
      if canceled ~= 0 then redis.pcall('HINCRBY', record, 'canceled', canceled) end
      if counts.sent > 0 then redis.pcall('HINCRBY', record, 'sent', counts.sent) end
      redis.pcall('HSET', record, 'changed_at', string.format('%d', batch.now))
    end
  end
end
