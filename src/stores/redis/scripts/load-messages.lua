#!lua flags=no-writes
-- The newest messages below a position, and the position of the first of them.
if redis.call('EXISTS', CONVERSATION) == 0 then return {} end
local before, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local last = math.min(before - 1, redis.call('LLEN', MESSAGES))
local first = math.max(last - limit + 1, 1)
if last < first then return { 1, {} } end
return { first, redis.call('LRANGE', MESSAGES, first - 1, last - 1) }
