#!lua flags=allow-oom
-- A key for each reply: its caller's running replies. ARGV from 3 on: the request of each.
local leaseUntil = NOW + tonumber(ARGV[2])
for i, running in ipairs(KEYS) do
  redis.call('ZADD', running, leaseUntil, ARGV[i + 2])
  redis.call('PEXPIREAT', running, leaseUntil)
end
return {}
