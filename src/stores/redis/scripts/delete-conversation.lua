#!lua flags=allow-oom
-- LOG is how the names of the conversation's logs begin: which there are, AGES knows.
local isThere = redis.call('EXISTS', CONVERSATION) == 1
for _, age in ipairs(redis.call('ZRANGE', AGES, 0, -1)) do
  local replyId = string.match(age, '^log:(.*)$')
  if replyId then redis.call('UNLINK', LOG .. replyId) end
end
local running = redis.call('HGET', RUNNING, 'id')
if isThere and MEMBER ~= '' then redis.call('ZREM', redis.call('HGET', CONVERSATION, 'list'), MEMBER) end
for i = 1, OWN_KEYS do redis.call('UNLINK', KEYS[i]) end
if running then
  redis.call('ZREM', LEASES, running)
  redis.call('PUBLISH', 'chat:nudge:' .. running, '')
end
return { isThere and 'deleted' or 'gone' }
