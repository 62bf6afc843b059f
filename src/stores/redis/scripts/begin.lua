local messageId, replyId, requestId, fingerprint = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local expectedVersion, firstVersion = tonumber(ARGV[8]), ARGV[9]
local owner, conversationId, list = ARGV[10], ARGV[11], ARGV[12]
local token, instance, model, body = ARGV[13], ARGV[14], ARGV[15], ARGV[16]
local userMessage, systemPrompt = ARGV[17], ARGV[18]
local cut, cutTurns = tonumber(ARGV[19]), ARGV[20]
local requestMs, leaseMs = tonumber(ARGV[21]), tonumber(ARGV[22])
local prefix = ARGV[23] -- of the conversation's message ids
local own, replaces, grows = ARGV[24], ARGV[25], ARGV[26] -- see end-turn.lua; '' is none
local SOME = 100 -- what has expired is removed a few at a time, and more of it than one turn brings

local running = redis.call('HMGET', RUNNING, 'id', 'token', 'instance')

-- A repeat finds its reply, whatever has happened since.
local expiresAt, knownReply, knownFingerprint =
  string.match(redis.call('HGET', REQUESTS, requestId) or '', '^(%d+) (%S+) (.*)$')
if expiresAt and tonumber(expiresAt) > NOW then
  local known = prefix .. knownReply
  if knownFingerprint ~= fingerprint then return { 'conflict', known } end
  -- The very same call again has lost its answer.
  if known == messageId and running[1] == messageId and running[3] == instance then return { 'begun', running[2] } end
  return { 'exists', known }
end

-- What is busy is worth waiting for, where what is stale is opened again at once.
if running[1] then return { 'busy', running[1] } end
local version = tonumber(redis.call('HGET', CONVERSATION, 'version') or 0)
if version ~= expectedVersion then return { 'stale' } end
-- Only what the model would read last can grow: it goes on from there.
if grows ~= '' and toLastInWindow() ~= string.match(grows, '^%d+') then return { 'stale' } end

if version == 0 then createConversation(owner, conversationId, list, firstVersion) end
redis.call('HINCRBY', CONVERSATION, 'version', 1)
local position = userMessage ~= '' and redis.call('RPUSH', MESSAGES, userMessage) or ''
if position == 1 and systemPrompt ~= '' then redis.call('HSET', CONVERSATION, 'systemPrompt', systemPrompt) end

-- A cut never moves back here: what was left out once stays so.
if replaces == '' and cut > tonumber(redis.call('HGET', CONVERSATION, 'cut')) then
  redis.call('HSET', CONVERSATION, 'cut', cut, 'cutTurns', cutTurns)
  while tonumber(string.match(redis.call('LINDEX', WINDOW, 0) or '', '^%d+') or math.huge) <= cut do
    redis.call('LPOP', WINDOW)
  end
end
-- What takes the place of others is in the window with its answer, and not before.
if userMessage ~= '' and replaces == '' then redis.call('RPUSH', WINDOW, position .. ':' .. userMessage) end

redis.call('HSET', RUNNING, 'id', messageId, 'token', token, 'lease', NOW + leaseMs, 'created', NOW,
  'position', position, 'instance', instance, 'model', model, 'body', body,
  'own', own, 'replaces', replaces, 'grows', grows)
redis.call('ZADD', LEASES, NOW + leaseMs, messageId)

for _, age in ipairs(redis.call('ZRANGEBYSCORE', AGES, '-inf', NOW, 'LIMIT', 0, SOME)) do
  redis.call('ZREM', AGES, age)
  local expired = string.match(age, '^request:(.*)$')
  if expired then redis.call('HDEL', REQUESTS, expired) end
end
redis.call('HSET', REQUESTS, requestId, (NOW + requestMs) .. ' ' .. replyId .. ' ' .. fingerprint)
redis.call('ZADD', AGES, NOW + requestMs, 'request:' .. requestId, '+inf', 'log:' .. replyId)
touch()
return { 'begun', token }
