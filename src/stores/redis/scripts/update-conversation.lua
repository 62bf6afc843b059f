-- ARGV from 4 on: a field and its value; '' takes it away.
if redis.call('EXISTS', CONVERSATION) == 0 then return { 'gone' } end
for i = 4, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', CONVERSATION, field) or ''
  if field == 'systemPrompt' and value ~= before then redis.call('HINCRBY', CONVERSATION, 'version', 1) end
  if value == '' then
    redis.call('HDEL', CONVERSATION, field)
  else
    redis.call('HSET', CONVERSATION, field, value)
  end
end
touch()
return { 'updated', readConversation() }
