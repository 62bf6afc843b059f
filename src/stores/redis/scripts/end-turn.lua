-- The one way into a terminal state: the message, the reply and its conversation change together. Gives back the
-- owner's list.
local function endTurn(reply, ending)
  local position = redis.call('RPUSH', MESSAGES, ending.message)
  if ending.isSendable then
    redis.call('RPUSH', WINDOW, position .. ':' .. ending.message)
  elseif string.match(redis.call('LINDEX', WINDOW, -1) or '', '^%d+') == reply.position then
    redis.call('RPOP', WINDOW) -- the question that was not answered
  end
  local body = '{"instance":' .. reply.instance .. ',' .. reply.body .. '}'
  local columns = { ending.state, reply.token, position, ending.seq, reply.created, body }
  redis.call('HSET', REPLIES, ending.replyId, table.concat(columns, ' '))
  redis.call('DEL', RUNNING)
  redis.call('ZREM', LEASES, reply.id)
  redis.call('HINCRBY', CONVERSATION, 'version', 1)
  if ending.answeredBy ~= '' then redis.call('HSET', CONVERSATION, 'answeredBy', ending.answeredBy) end
  local logUntil = NOW + ending.logMs
  redis.call('PEXPIREAT', LOG, logUntil)
  redis.call('ZADD', AGES, logUntil, 'log:' .. ending.replyId)
  redis.call('PUBLISH', 'chat:nudge:' .. reply.id, '')
  return touch()
end

local function readRunning()
  local names = { 'id', 'token', 'created', 'position', 'instance', 'body', 'model', 'lease' }
  local values = redis.call('HMGET', RUNNING, unpack(names))
  local reply = {}
  for i, name in ipairs(names) do reply[name] = values[i] end
  return reply
end
