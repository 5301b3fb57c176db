-- mend: write what a campaign's record should say, if it still says what was seen; or delete terms that no record has.
-- (typed.lua)
--
-- KEYS  1 a scratch key, which never stands (rq_ses.keys)   2 the set of campaigns   3 the campaign's record; or of terms
--       their key
-- ARGV  1 "record"   2 the campaign   3 JSON: what was seen, by the fields' names (null: not there)   4 JSON: the
--       fields to write, with text
--       or 1 "terms"   2 their hash   3 prefix of records
-- Reply 1 or 0: whether it was done

redis.call('DEL', KEYS[1])

if ARGV[1] == 'terms' then
  for _, name in ipairs(typed('SMEMBERS', KEYS[2]) or {}) do
    if typed('HGET', ARGV[3] .. name, 'terms') == ARGV[2] then return 0 end
  end
  return redis.call('UNLINK', KEYS[3])
end

for name, value in pairs(cjson.decode(ARGV[3])) do
  local found = typed('HGET', KEYS[3], name) or nil
  if value == cjson.null then value = nil end
  if found ~= value then return 0 end
end
redis.call('SADD', KEYS[2], ARGV[2])
local fields = { 'changed_at', redis.call('TIME')[1] }
for name, value in pairs(cjson.decode(ARGV[4])) do
  fields[#fields + 1], fields[#fields + 2] = name, value
end
redis.call('HSET', KEYS[3], unpack(fields))
return 1
