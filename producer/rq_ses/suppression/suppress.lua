-- suppress: what the suppression list is in Redis, and how an address gets onto it and off; put in front of scripts.
--
-- Under the deployment's own keys (root: what they begin with; Keys.own().root), also where its queue has partitions:
--   ses:suppressed        how many addresses there are, at least; it is there while the list has any, so that whoever
--                         finds it missing needs to ask for none. Counted up before an address enters, and down after
--                         it has left: broken off in between, it is too high and never too low.
--   ses:suppressed:B      hash of those addresses whose SHA-1 begins (four hexadecimal digits, modulo 32768) with B, in
--                         hexadecimal digits; small enough at some millions of addresses to stay a listpack
--   ses:suppressed:long   hash of all that are longer than 64 bytes, which would make their bucket a table
-- Fields are addresses in their normal form (rq_ses.suppression.address.normal_form), values
--   "NUMBER" or "NUMBER TEXT": seconds since 2020 times 4 plus the reason's number; 48 bytes of text at most
--
-- A script that uses this writes its scratch key first, and declares the keys of the same slot (design.md).

local SUPPRESSED = { since = 1577836800, buckets = 32768, whole = 64,
  -- the worse reason stays: what people and SES's own list say is the least, as it says nothing of why
  reasons = { manual = 0, ses = 1, bounce = 2, complaint = 3 } }

local function suppressed_bucket(root, address)
  if #address > SUPPRESSED.whole then return root .. 'ses:suppressed:long' end
  local number = tonumber(string.sub(redis.sha1hex(address), 1, 4), 16) % SUPPRESSED.buckets
  return root .. string.format('ses:suppressed:%x', number)
end

-- Put an address onto the list. address: in its normal form; reason: bounce, complaint, manual or ses; now: epoch
-- seconds; text: what else is worth its bytes, or nil.
-- Says "added"; "changed" (it was there for a lesser reason); "known" (it stays as it was); "excepted" (SES's mailbox
-- simulator is on no list, as on none of SES's own).
local function suppress(root, address, reason, now, text)
  if string.sub(address, -24) == '@simulator.amazonses.com' then return 'excepted' end
  local bucket, number = suppressed_bucket(root, address), SUPPRESSED.reasons[reason]
  local value = string.format('%.0f', math.max(0, math.floor(now) - SUPPRESSED.since) * 4 + number)
  if text and text ~= '' then value = value .. ' ' .. text end
  local known = redis.call('HGET', bucket, address)
  if known then
    if (tonumber(string.match(known, '^%d+')) or 0) % 4 >= number then return 'known' end
    redis.call('HSET', bucket, address, value)
    return 'changed'
  end
  redis.call('INCR', root .. 'ses:suppressed')
  redis.call('HSET', bucket, address, value)
  return 'added'
end

-- Take an address off the list; says whether it was there.
local function unsuppress(root, address)
  if redis.call('HDEL', suppressed_bucket(root, address), address) == 0 then return false end
  if redis.call('DECR', root .. 'ses:suppressed') <= 0 then redis.call('DEL', root .. 'ses:suppressed') end
  return true
end
