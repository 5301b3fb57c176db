-- campaigns: what claim does with jobs of campaigns; put in front of it. (typed.lua; PARTS_FIELD, CANCELED_TTL:
-- contract.LUA_CONSTANTS)

-- Made by a claim that meets one, for most meet none. root: what all keys begin with; now, today: the time, and in
-- RQ's date form.
local function campaigns_of(root, now, today)
  local it, records, canceled = {}, {}, {}

  -- A campaign's record: its state, and who fills its template. Read once a claim.
  local function record_of(name)
    records[name] = records[name] or typed('HMGET', root .. 'ses:campaign:' .. name, 'state', 'engine') or {}
    return records[name]
  end

  -- How many entries of a bulk job may be sent together: at most `most`, which is what the account's rate allows in
  -- half a second, for so long an urgent mail may then wait for its token; and not more than what the day has left.
  -- What is rendered here goes out one by one.
  function it.portion(campaign, entries, most, left)
    if (record_of(campaign)[2] or 'ses') ~= 'ses' then return 1 end
    if left and left >= 1 then most = math.min(most or left, left) end
    return most and math.min(entries, math.max(1, math.floor(most))) or entries
  end

  -- Whether a job's campaign is paused or canceled: it goes where RQ has such jobs. Its place comes first, its hash
  -- then, and its id leaves the list with the others. What is counted comes last of all: too few only keeps the record.
  function it.hold(campaign, entries, id, list)
    local state, job, queue = record_of(campaign)[1], root .. 'job:' .. id, string.sub(list, #root + 7)
    if state ~= 'paused' and state ~= 'canceled' then return false end
    -- What a split has left undone would be forgotten with it: it is claimed for that, and comes back.
    if redis.call('HEXISTS', job, PARTS_FIELD) == 1 then return false end
    if state == 'paused' then
      redis.call('ZADD', root .. 'deferred:' .. queue, '+inf', id)
      redis.call('HSET', job, 'status', 'deferred')
    else
      redis.call('ZADD', root .. 'canceled:' .. queue, string.format('%.6f', now + CANCELED_TTL), id)
      redis.call('HSET', job, 'status', 'canceled', 'ended_at', today, 'worker_name', '')
      redis.call('EXPIRE', job, CANCELED_TTL)
      canceled[campaign] = (canceled[campaign] or 0) + entries
    end
    return true
  end

  function it.count()
    for campaign, entries in pairs(canceled) do
      local record = root .. 'ses:campaign:' .. campaign
      if redis.pcall('HEXISTS', record, 'state') == 1 then
        redis.pcall('HINCRBY', record, 'canceled', entries)
        redis.pcall('HSET', record, 'changed_at', string.format('%d', now))
      end
    end
  end

  return it
end
