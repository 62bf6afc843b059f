#!lua flags=no-writes
-- The entries after one, and the message where the last of them is the end: it has the text that the end does not.
local messageId, replyId, after, limit = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local isRunning = redis.call('HGET', RUNNING, 'id') == messageId
local ended = redis.call('HGET', REPLIES, replyId)
if limit < 1 or not (isRunning or ended) then return { {}, '' } end
local entries = redis.call('LRANGE', LOG, after, after + limit - 1)
if string.sub(entries[#entries] or '', 1, 1) ~= 'e' then return { entries, '' } end
local position = string.match(ended, '^%S+ %S+ (%d+) ')
return { entries, redis.call('LINDEX', MESSAGES, position - 1) }
