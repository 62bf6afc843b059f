#!lua flags=allow-oom
-- ARGV from 2 on: a conversation and when it was last used; '' for one that is gone.
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('ZREM', KEYS[1], ARGV[i])
  else
    redis.call('ZADD', KEYS[1], 'XX', ARGV[i + 1], ARGV[i])
  end
end
