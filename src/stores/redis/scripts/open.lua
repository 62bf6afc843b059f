#!lua flags=no-writes
if redis.call('EXISTS', CONVERSATION) == 0 then return {} end
local request = redis.call('HGET', REQUESTS, ARGV[4])
local expiresAt = request and tonumber(string.match(request, '^%d+'))
local known = expiresAt and expiresAt > NOW and request or ''
return { readConversation(), known, redis.call('LRANGE', WINDOW, 0, -1) }
