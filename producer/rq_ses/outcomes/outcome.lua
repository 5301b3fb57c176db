-- outcome: put what became of a mail into the stream of outcomes; put in front of scripts that write such.
--
-- stream: its key   most: entries that it holds at most, about   text: the outcome as JSON (rq_ses.outcomes.outcome)
--
-- Called before the mail's state is written: broken off between the two, the script is called again, and the outcome
-- stands there twice, under the same id. A key of another type must not keep a mail from being settled.
local function outcome(stream, most, text)
  local reply = redis.pcall('XADD', stream, 'MAXLEN', '~', most, '*', 'outcome', text)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    error(reply.err, 0)
  end
end
