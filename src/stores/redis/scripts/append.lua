-- Four keys for each reply: its conversation's running reply, its log, the ended replies, and its shard's leases.
-- ARGV from 3 on, for each: message id, reply id, token, seq, number of entries, the entries.
local leaseUntil = NOW + tonumber(ARGV[2])
local answers, at = {}, 3

for i = 1, #KEYS, 4 do
  local running, log, replies, leases = KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3]
  local write = { messageId = ARGV[at], replyId = ARGV[at + 1], token = ARGV[at + 2] }
  local seq, count = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local first = at + 5
  at = first + count
  local refusal = toRefusal(running, replies, write) or toPlaceRefusal(log, seq, count)
  if not refusal then
    push(log, first, at - 1)
    redis.call('HSET', running, 'lease', leaseUntil)
    redis.call('ZADD', leases, leaseUntil, write.messageId)
    redis.call('PUBLISH', 'chat:nudge:' .. write.messageId, '')
  end
  answers[#answers + 1] = refusal or { 'ok' }
end
return answers
