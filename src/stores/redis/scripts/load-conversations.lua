#!lua flags=no-writes
-- Three keys for each conversation: itself, its messages, and its reply that runs. Nil for one that is not there.
local conversations = {}
for i = 1, #KEYS, 3 do
  local fields = redis.call('HGETALL', KEYS[i])
  local running = redis.call('HGET', KEYS[i + 2], 'id') or ''
  conversations[#conversations + 1] = #fields > 0 and { fields, redis.call('LLEN', KEYS[i + 1]), running } or {}
end
return conversations
