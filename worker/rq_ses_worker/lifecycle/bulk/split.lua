-- split: divide a bulk job whose entries have fates of their own, only as long as its lease stands: some stay in the
-- job, and that is settled as any job is; others go on as jobs of their own. Twice is once. (typed.lua, outcome.lua, finish.lua,
-- receipt.lua, contested.lua, counting.lua, parts.lua)
--
-- KEYS  as settle's, of one queue
-- ARGV  1-4 as settle's, and 5 what hooks are told of the entries that are over (JSON)
--       6 id   7 execution   8 when it ended (RQ's date form)   9, 10 result, or delay in s, or exc (a line) and
--       exc_string, as settle's action has it
--       11 settle's action; "keep": what stays goes on being started; "finish": only what an earlier call left undone
--       12 the job's meta   13 its data   14 entries that stay in it   15 entries that were sent, in all   16 campaign
--       then for each part: id, action ("front": into the front of the queue, as it was before this attempt), meta, its
--       value and exc_string as 9 and 10, data, number of entries, description
-- Reply settle's word
--
-- First the job's hash is told in one step what stays and what the parts are; then these are made; then the job is
-- settled. Broken off, the next call completes it: by its worker, or with "finish" by whoever reclaims or claims the job.

local batch, AT, FIRST, WIDTH = new_batch(), 6, 17, 8
-- What hooks are told of all that is over was made by its worker.
local stream = ARGV[5] ~= '' and batch.stream
batch.stream = nil
local queue, id, execution, action = queue_at(batch, 3), ARGV[AT], ARGV[AT + 1], ARGV[11]
local job, member = batch.jobs .. id, id .. ':' .. execution
local group = { queue = queue, action = action, meta = ARGV[12], entries = tonumber(ARGV[14]), campaign = ARGV[16] }

-- A server that takes no writes says so here; after it, memory is no reason to refuse the others.
redis.call('DEL', KEYS[1], KEYS[2])

local held = typed('ZSCORE', queue.leases, member)
local old = typed('HMGET', job, 'status', EXECUTION_FIELD, 'created_at', 'enqueued_at', 'started_at', 'description',
  'result_ttl', KEY_FIELD, 'origin', 'timeout', 'failure_ttl', PARTS_FIELD, 'meta') or {}
local status, named = old[1], old[2]

if action == 'finish' then
  if not held or not old[12] then return 'lost' end
  make_parts(batch, queue, id, old[12])
  return 'done'
end

local function part_of(at)
  local what, value = ARGV[at + 1], ARGV[at + 3]
  local part = { id = ARGV[at], meta = ARGV[at + 2], exc = '', result = '', data = ARGV[at + 5], entries = ARGV[at + 6],
    description = ARGV[at + 7], started = old[5] or '' }
  if what == 'front' then
    part.status, part.meta = 'queued', old[13] or ''
    if string.sub(execution, -1) == '1' then part.started = '' end
  elseif what == 'retry' then
    part.status, part.score = 'scheduled', string.format('%.6f', batch.now + value)
  elseif what == 'failed' then
    part.status, part.exc, part.result, part.ttl = 'failed', value, ARGV[at + 4], ttl_of(old[11], FAILURE_TTL)
    part.score, part.keep = until_score(batch, part.ttl), part.ttl + FAILED_GRACE
  else
    part.status, part.result, part.ttl, part.data = 'finished', value, ttl_of(old[7], RESULT_TTL), RECEIPT_DATA
    part.score, part.keep = until_score(batch, part.ttl), part.ttl
  end
  return part
end

local function divide()
  local ended = ARGV[AT + 2]
  local whole = { created = old[3] or ended, enqueued = old[4] or '', origin = old[9] or '', timeout = old[10] or '',
    result_ttl = old[7] or RESULT_TTL, failure_ttl = old[11] or FAILURE_TTL, ended = ended, campaign = ARGV[16],
    campaign_field = CAMPAIGN_FIELD, recipients_field = RECIPIENTS_FIELD }
  local parts = {}
  for at = FIRST, #ARGV, WIDTH do
    parts[#parts + 1] = part_of(at)
  end
  local packed = cmsgpack.pack({ whole = whole, parts = parts })
  redis.call('HSET', job, 'data', ARGV[13], RECIPIENTS_FIELD, ARGV[14], PARTS_FIELD, packed)
  make_parts(batch, queue, id, packed)
end

local ours = held and status == 'started' and named == execution
if action == 'keep' then
  if not ours then return 'lost' end
  divide()
  return 'done'
end

-- What SES has accepted must not go out again: it wins over a job that was put back and that nobody has begun.
local stays = group.entries
local late = not held and action == 'sent' and (status == 'queued' or status == 'scheduled' or status == 'failed')
  and (status == 'queued' and typed('LPOS', queue.list, id)
    or status ~= 'queued' and typed('ZSCORE', registry(batch, queue, status), id))
local write, word = { sent = write_sent, retry = write_retry, failed = write_failed, back = write_back }, 'vanished'
if (ours or late) and stream then outcome(stream, batch.most, ARGV[5]) end
if ours or late then divide() end
if ours then
  write[action](batch, group, AT, id, old)
  word = 'done'
elseif status and (held or action == 'sent') then
  word = contested(batch, group, AT, id, held, held and named == execution, old)
elseif status then
  word = 'lost'
end

redis.call('DEL', KEYS[1], KEYS[2])
if #queue.entering > 0 and not typed('ZADD', queue.finished, unpack(queue.entering)) then word = 'broken' end
if held then
  if redis.call('DEL', batch.root .. 'execution:' .. member) == 1 then
    typed('ZREM', batch.root .. 'executions:' .. id, execution)
  end
  typed('ZREM', queue.started, member)
  typed('ZREM', queue.leases, member)
end

-- For show: all is written. Who was not sent, and was canceled meanwhile, is canceled with the job.
if ours or late or word == 'accepted' then
  count_entries(batch, group, late and 'late' or 'done')
  local counts = batch.campaigns[group.campaign] or { sent = 0, canceled = 0 }
  if ours then counts.sent = tonumber(ARGV[15]) end
  if word == 'accepted' then counts.canceled = -stays end
  batch.campaigns[group.campaign] = counts
end
count_all(batch)
return word
