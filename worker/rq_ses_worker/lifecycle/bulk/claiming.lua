-- claiming: what claim does with jobs of campaigns; put in front of it. (typed.lua)

-- A campaign's record: its state, and who fills its template. Read once a claim.
local function campaign_of(it, name)
  if not it.campaigns[name] then
    local key = string.sub(ARGV[9], 1, -5) .. 'ses:campaign:' .. name
    it.campaigns[name] = typed('HMGET', key, 'state', 'engine') or {}
  end
  return it.campaigns[name]
end

-- How many entries of a bulk job may be sent together: what the account's rate allows in half a second, for so long an
-- urgent mail may then wait for its token. A probe is one, and what is rendered here goes out one by one.
local function portion(it, campaign, weight)
  if it.probing or (campaign_of(it, campaign)[2] or 'ses') ~= 'ses' then return 1 end
  weight = math.min(weight, tonumber(ARGV[15]))
  local most = it.allowed and it.allowed / 2 or tonumber(ARGV[22] or '')
  if it.left and it.left >= 1 then most = math.min(most or it.left, it.left) end
  return most and math.min(weight, math.max(1, math.floor(most))) or weight
end

-- Whether a job's campaign is paused or canceled: it goes where RQ has such jobs. Its place comes first, its hash then,
-- and its id leaves the list with the others. What is counted comes last of all: too few only keeps the record.
local function is_held(it, place, id, campaign, entries)
  local state, job = campaign_of(it, campaign)[1], ARGV[9] .. id
  local root = string.sub(ARGV[9], 1, -5)
  if state ~= 'paused' and state ~= 'canceled' then return false end
  -- What a split has left undone would be forgotten with it: it is claimed for that, and comes back.
  if redis.call('HEXISTS', job, ARGV[17]) == 1 then return false end
  local queue = string.sub(KEYS[4 + place * 3], #root + 7)
  if state == 'paused' then
    redis.call('ZADD', root .. 'deferred:' .. queue, '+inf', id)
    redis.call('HSET', job, 'status', 'deferred')
  else
    redis.call('ZADD', root .. 'canceled:' .. queue, string.format('%.6f', it.now + ARGV[16]), id)
    redis.call('HSET', job, 'status', 'canceled', 'ended_at', ARGV[4], 'worker_name', '')
    redis.call('EXPIRE', job, ARGV[16])
    it.canceled[campaign] = (it.canceled[campaign] or 0) + entries
  end
  it.aside = it.aside + 1
  return true
end

local function count_canceled(it)
  for campaign, entries in pairs(it.canceled) do
    local record = string.sub(ARGV[9], 1, -5) .. 'ses:campaign:' .. campaign
    if redis.pcall('HEXISTS', record, 'state') == 1 then
      redis.pcall('HINCRBY', record, 'canceled', entries)
      redis.pcall('HSET', record, 'changed_at', string.format('%d', it.now))
    end
  end
end
