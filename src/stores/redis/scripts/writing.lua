-- Why the holder of this token may not write; nil where it may. The token comes first: a stranger learns nothing else.
local function toRefusal(running, replies, write)
  local reply = redis.call('HMGET', running, 'id', 'token')
  if reply[1] == write.messageId then
    return reply[2] ~= write.token and { 'fenced' } or nil
  end
  local ended = redis.call('HGET', replies, write.replyId)
  if not ended then return { 'gone' } end
  local state, token = string.match(ended, '^(%S+) (%S+) ')
  if token ~= write.token then return { 'fenced' } end
  return { 'closed', state }
end

-- Why these events do not go on where the log ends. Only the token's holder can have written what is there.
local function toPlaceRefusal(log, seq, count)
  local have = redis.call('LLEN', log)
  if seq == have + 1 then return nil end
  if seq + count - 1 <= have then return { 'duplicate' } end
  return { 'gap', have }
end

local PUSH = 500 -- Lua's stack has room for a few thousand values

local function push(log, first, last)
  for i = first, last, PUSH do
    redis.call('RPUSH', log, unpack(ARGV, i, math.min(i + PUSH - 1, last)))
  end
end
