-- Only the server's clock decides what has expired (INV-07). ARGV[1] is a time that a test puts in its place, or ''.
local function readTime()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local NOW = readTime()
