-- KEYS: the caller's requests of the last minute, by their times, and its running replies, by the ends of their leases.
local CHARGES, RUNNING = KEYS[1], KEYS[2]
local request = ARGV[2]
local requestsPerMinute, maxConcurrent = tonumber(ARGV[3]), tonumber(ARGV[4])
local minuteMs, leaseMs = tonumber(ARGV[5]), tonumber(ARGV[6])

redis.call('ZREMRANGEBYSCORE', CHARGES, '-inf', NOW - minuteMs)
redis.call('ZREMRANGEBYSCORE', RUNNING, '-inf', NOW)
local charged = redis.call('ZCARD', CHARGES)
local isCharged = redis.call('ZSCORE', CHARGES, request)
if not isCharged and charged >= requestsPerMinute then
  -- With a smaller allowance than before, more than one must leave the minute.
  local at = charged - requestsPerMinute
  local chargedAt = redis.call('ZRANGE', CHARGES, at, at, 'WITHSCORES')[2] or NOW
  return { 'rate-limited', chargedAt + minuteMs - NOW }
end
local running = redis.call('ZCARD', RUNNING)
if running >= maxConcurrent and not redis.call('ZSCORE', RUNNING, request) then
  return { 'too-many-running', running }
end
if not isCharged then
  redis.call('ZADD', CHARGES, NOW, request)
  redis.call('PEXPIREAT', CHARGES, NOW + minuteMs)
  charged = charged + 1
end
redis.call('ZADD', RUNNING, NOW + leaseMs, request)
redis.call('PEXPIREAT', RUNNING, NOW + leaseMs)
return { 'ok', math.max(requestsPerMinute - charged, 0) }
