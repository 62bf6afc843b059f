-- The version of the layout: what an older build has written is this build's from now on.
local version = tonumber(redis.call('GET', KEYS[1]) or 0)
if version >= tonumber(ARGV[2]) then return version end
redis.call('SET', KEYS[1], ARGV[2])
return tonumber(ARGV[2])
