-- dead: tell of a campaign's jobs among some failed ones how many entries they have, and what is known of each.
-- (…_FIELD: contract.LUA_CONSTANTS)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys); nothing is written
-- ARGV  1 prefix of job keys   2 the campaign   then ids of jobs
-- Reply three a job of the campaign: its entries, its meta, the beginning of its exc_info

local told = {}
for i = 3, #ARGV do
  local found = redis.pcall('HMGET', ARGV[1] .. ARGV[i], CAMPAIGN_FIELD, RECIPIENTS_FIELD, 'meta', 'exc_info')
  if found.err and not string.find(found.err, 'WRONGTYPE', 1, true) then return found end
  if not found.err and found[1] == ARGV[2] then
    local n = #told
    told[n + 1], told[n + 2], told[n + 3] = found[2] or '1', found[3] or '', string.sub(found[4] or '', 1, 4096)
  end
end
return told
