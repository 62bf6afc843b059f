#!lua flags=no-writes
-- A reply that runs: its conversation's owner and id, its fields and the length of its log. One that has ended: the
-- columns of its record. Nothing for one that is not there.
local messageId, replyId = ARGV[4], ARGV[5]
local of = redis.call('HMGET', CONVERSATION, 'owner', 'id')
local reply = redis.call('HMGET', RUNNING, 'id', 'created', 'instance', 'body', 'own')
if reply[1] == messageId then
  return { 'running', of, redis.call('LLEN', LOG), reply[2], toRecord(reply[3], reply[5], reply[4]) }
end
local ended = redis.call('HGET', REPLIES, replyId)
return ended and of[1] and { 'ended', of, ended } or {}
