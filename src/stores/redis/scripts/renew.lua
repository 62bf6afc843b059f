#!lua flags=allow-oom
-- Three keys for each lease: the conversation's running reply, the ended replies, and the shard's leases.
-- ARGV from 3 on, for each: message id, reply id, token.
local leaseUntil = NOW + tonumber(ARGV[2])
local answers = {}

for i = 1, #KEYS, 3 do
  local running, replies, leases = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local write = { messageId = ARGV[i + 2], replyId = ARGV[i + 3], token = ARGV[i + 4] }
  local refusal = toRefusal(running, replies, write)
  if not refusal then
    redis.call('HSET', running, 'lease', leaseUntil)
    redis.call('ZADD', leases, leaseUntil, write.messageId)
  end
  answers[#answers + 1] = refusal or { 'ok' }
end
return answers
