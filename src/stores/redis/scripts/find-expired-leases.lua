#!lua flags=no-writes
-- Of every shard's leases that are given, those that have expired: a hint, as the reply itself has the truth.
local limit = tonumber(ARGV[2])
local found = {}
for _, leases in ipairs(KEYS) do
  for _, messageId in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', NOW, 'LIMIT', 0, limit - #found)) do
    found[#found + 1] = messageId
  end
  if #found >= limit then break end
end
return found
