#!lua flags=no-writes
local position = string.match(redis.call('HGET', REPLIES, ARGV[5]) or '', '^%S+ %S+ (%d+) ')
return position and redis.call('LINDEX', MESSAGES, position - 1) or nil
