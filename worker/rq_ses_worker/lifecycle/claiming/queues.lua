-- queues: how claim goes through its queues; put in front of it. (typed.lua)
--
-- KEYS are claim.lua's. None of these captures what another call has in hand: it is given.

-- The next id of a queue whose list has to be read on for it; nil if it has none that may be taken now.
local function read_on(queues, place, root, wanted)
  local queue = queues[place]
  if not queue then
    -- ids: what was read of the list last, the one at `at` is the next; taken: how many of the list are done with
    -- members: scores and members for its registries
    queue = { list = KEYS[3 + place], ids = {}, at = 1, taken = 0, chunk = 0, members = {} }
    queues[place] = queue
  end
  if queue.spoilt or #queue.ids < queue.chunk then return nil end
  queue.chunk, queue.at = math.min(1000, math.max(wanted, 2 * queue.chunk)), 1
  queue.ids = typed('LRANGE', queue.list, queue.taken, queue.taken + queue.chunk - 1)
  if not queue.ids then queue.ids, queue.spoilt = {}, queue.list end
  if not queue.leases and #queue.ids > 0 then
    local name = string.sub(queue.list, #root + 7)
    queue.leases, queue.started = root .. 'ses:leases:' .. name, root .. 'wip:' .. name
    -- Were one of these of another type, the script would break off with a job in its hands.
    queue.spoilt = not typed('ZCARD', queue.started) and queue.started
      or not typed('ZCARD', queue.leases) and queue.leases
    if queue.spoilt then queue.ids = {} end
  end
  return queue.ids[1]
end

-- The order of the queues: the first that has jobs, but after seven recipients preferred to others one of those, by
-- turns. A bulk job, or a heavy mail, that has such a turn has had those of its other recipients, too: while they are
-- owed it is only queues above the last one that have turns. A queue more urgent than the last preferred goes before a
-- turn, so that an urgent mail is always the next.
-- Returns that queue, the first that has jobs, and what each further recipient of its mail adds to flow.passed.
local function next_place(flow, lengths, places)
  local more, first = false, nil
  for place = 0, places - 1 do
    if lengths[place] > 0 then
      more = first ~= nil
      if more then break end
      first = place
    end
  end
  if not more then
    flow.passed = 0
    return first, first, 0
  end
  if first >= flow.preferred and (flow.passed >= 7 or flow.passed < 0 and flow.passed % 7 == 0) then
    local others = {}
    for place = first + 1, places - 1 do
      if lengths[place] > 0 then others[#others + 1] = place end
    end
    if flow.passed < 0 then others[#others] = nil end
    if #others > 0 then
      local chosen = others[#others - flow.turn % #others]
      flow.passed, flow.turn = math.min(0, flow.passed + 1), (flow.turn + 1) % 5040
      return chosen, first, -7
    end
  end
  flow.passed, flow.preferred = flow.passed + 1, first
  return first, first, 1
end

-- The list is cut at the end. second: the id behind the next, which was taken in its place.
local function cut(queue)
  if queue.second then redis.call('LREM', queue.list, 1, queue.second) end
  if queue.taken > 0 then redis.call('LTRIM', queue.list, queue.taken, -1) end
  queue.second, queue.taken = nil, 0
end

-- The place of the only queue that has jobs. Mostly it is that of the last one.
local function find_alone(queues, root, places, wanted, last)
  if last >= 0 and last < places and last % 1 == 0 and read_on(queues, last, root, wanted) then return last end
  for place = 0, places - 1 do
    if read_on(queues, place, root, wanted) then return place end
  end
end
