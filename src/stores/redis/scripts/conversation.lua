-- The keys of one conversation. All of them, and all that is changed together, lie in one slot. Its owner's list of
-- conversations lies in the owner's: a script may touch it on one primary, where MEMBER is the conversation's name in
-- it. In a Cluster, MEMBER is '' and the list has scripts of its own.
local CONVERSATION, MESSAGES, WINDOW, REPLIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local RUNNING, REQUESTS, AGES = KEYS[5], KEYS[6], KEYS[7]
local LEASES, LOG = KEYS[8], KEYS[9]
local OWN_KEYS = 7
local CONVERSATION_MS, MEMBER = tonumber(ARGV[2]), ARGV[3]

local function readConversation()
  local running = redis.call('HGET', RUNNING, 'id') or ''
  return { redis.call('HGETALL', CONVERSATION), redis.call('LLEN', MESSAGES), running }
end

-- The conversation is used now: it lives on, and stands first in its owner's list, which is given back.
local function touch()
  redis.call('HSET', CONVERSATION, 'updated', NOW)
  local list = redis.call('HGET', CONVERSATION, 'list')
  if MEMBER ~= '' then
    redis.call('ZADD', list, NOW, MEMBER)
    redis.call('PEXPIREAT', list, NOW + CONVERSATION_MS)
  end
  local isRunning = redis.call('EXISTS', RUNNING) == 1
  for i = 1, OWN_KEYS do
    if isRunning then
      redis.call('PERSIST', KEYS[i]) -- a reply that runs is never lost under its writer
    else
      redis.call('PEXPIREAT', KEYS[i], NOW + CONVERSATION_MS)
    end
  end
  return list
end

-- The position of the newest message in the window, as a text; nil in an empty one.
local function toLastInWindow()
  return string.match(redis.call('LINDEX', WINDOW, -1) or '', '^%d+')
end

-- The JSON of a reply's record; an older build has written no members of its own.
local function toRecord(instance, own, body)
  return '{"instance":' .. instance .. ',' .. (own and own .. ',' or '') .. body .. '}'
end

local function createConversation(owner, id, list, version)
  redis.call('HSET', CONVERSATION, 'owner', owner, 'id', id, 'list', list, 'created', NOW, 'version', version,
    'cut', 0, 'cutTurns', 0)
end
