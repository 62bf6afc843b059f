#!lua flags=allow-oom
-- A page of a list after a place (its time and its member; '' is the beginning), and the time of each. The member
-- may have moved or be gone: then a stand-in takes its place for a moment, to find out where that is.
local updated, member, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local first = 0
if member ~= '' then
  if tonumber(redis.call('ZSCORE', KEYS[1], member) or -1) == tonumber(updated) then
    first = redis.call('ZREVRANK', KEYS[1], member) + 1
  elseif redis.call('EXISTS', KEYS[1]) == 1 then
    local standIn = member .. '!'
    redis.call('ZADD', KEYS[1], updated, standIn)
    first = redis.call('ZREVRANK', KEYS[1], standIn)
    redis.call('ZREM', KEYS[1], standIn)
  end
end
return redis.call('ZREVRANGE', KEYS[1], first, first + limit - 1, 'WITHSCORES')
