#!lua flags=allow-oom
-- Whether a reply is abandoned; a hint that says otherwise than the reply is mended.
local messageId = ARGV[4]
local reply = redis.call('HMGET', RUNNING, 'id', 'lease')
if reply[1] ~= messageId then
  redis.call('ZREM', LEASES, messageId)
  return 0
end
if tonumber(reply[2]) <= NOW then return 1 end
redis.call('ZADD', LEASES, reply[2], messageId)
return 0
