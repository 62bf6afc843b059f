-- The one way into a terminal state: the message, the reply and its conversation change together.

-- What the reply takes the place of is kept, and not sent any more. `replaces` is the first position of it, the cut as
-- it then is (position, turns), and the positions of the window before the reply's own messages.
local function replaceThread(reply, answer)
  local numbers = {}
  for number in string.gmatch(reply.replaces, '%d+') do numbers[#numbers + 1] = tonumber(number) end
  local from, question = numbers[1], tonumber(reply.position)

  redis.call('DEL', WINDOW)
  numbers[#numbers + 1] = question
  for i = 4, #numbers do
    redis.call('RPUSH', WINDOW, numbers[i] .. ':' .. redis.call('LINDEX', MESSAGES, numbers[i] - 1))
  end

  local first, last, ranges = from, (question or answer) - 1, {}
  for rangeFirst, rangeLast in string.gmatch(redis.call('HGET', CONVERSATION, 'replaced') or '', '(%d+)-(%d+)') do
    if tonumber(rangeLast) < from - 1 then
      ranges[#ranges + 1] = rangeFirst .. '-' .. rangeLast
    else
      first = math.min(first, tonumber(rangeFirst))
    end
  end
  if first <= last then ranges[#ranges + 1] = first .. '-' .. last end

  local summaries = {}
  for _, summary in ipairs(readSummaries()) do
    if summary.position < from then summaries[#summaries + 1] = summary end
  end
  redis.call('HSET', CONVERSATION, 'cut', numbers[2], 'cutTurns', numbers[3], 'replaced', table.concat(ranges, ' '))
  writeSummaries(summaries)
end

-- The answer is sent later together with its question, or neither is. Gives back its position.
local function addAnswer(reply, ending)
  local position = redis.call('RPUSH', MESSAGES, ending.message)
  if ending.isSendable then
    if (reply.replaces or '') ~= '' then replaceThread(reply, position) end
    redis.call('RPUSH', WINDOW, position .. ':' .. ending.message)
  elseif toLastInWindow() == reply.position then
    redis.call('RPOP', WINDOW) -- the question that was not answered
  end
  return position
end

-- The message of the reply that this one goes on with grows where it stands. The end in that reply's log has its text
-- from there: from now on it has what the message was.
local function growAnswer(position, replyId, message)
  local log = CONVERSATION .. ':log:' .. replyId
  if string.sub(redis.call('LINDEX', log, -1) or '', 1, 1) == 'e' then
    redis.call('LSET', log, -1, 'm' .. redis.call('LINDEX', MESSAGES, position - 1))
  end
  redis.call('LSET', MESSAGES, position - 1, message)
  if toLastInWindow() == position then redis.call('LSET', WINDOW, -1, position .. ':' .. message) end
end

-- The message that the reply goes on with: its position, and the reply that it is named after; nil for none.
local function toGrowing(reply)
  return string.match(reply.grows or '', '^(%d+) (.*)$')
end

-- Gives back the owner's list.
local function endTurn(reply, ending)
  local hasText = ending.answeredBy ~= ''
  local position, replyId = toGrowing(reply)
  if not position then
    position = addAnswer(reply, ending)
  elseif hasText then
    growAnswer(position, replyId, ending.message)
  end
  local record = toRecord(reply.instance, reply.own, reply.body)
  local columns = { ending.state, reply.token, position, ending.seq, reply.created, record }
  redis.call('HSET', REPLIES, ending.replyId, table.concat(columns, ' '))
  redis.call('DEL', RUNNING)
  redis.call('ZREM', LEASES, reply.id)
  redis.call('HINCRBY', CONVERSATION, 'version', 1)
  if hasText then redis.call('HSET', CONVERSATION, 'answeredBy', ending.answeredBy) end
  local logUntil = NOW + ending.logMs
  redis.call('PEXPIREAT', LOG, logUntil)
  redis.call('ZADD', AGES, logUntil, 'log:' .. ending.replyId)
  redis.call('PUBLISH', 'chat:nudge:' .. reply.id, '')
  return touch()
end

local function readRunning()
  local names = { 'id', 'token', 'created', 'position', 'instance', 'body', 'model', 'lease', 'own', 'replaces', 'grows' }
  local values = redis.call('HMGET', RUNNING, unpack(names))
  local reply = {}
  for i, name in ipairs(names) do reply[name] = values[i] end
  return reply
end
