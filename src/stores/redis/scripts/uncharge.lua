#!lua flags=allow-oom
-- Gives a request back to everything that is named.
for _, used in ipairs(KEYS) do redis.call('ZREM', used, ARGV[2]) end
