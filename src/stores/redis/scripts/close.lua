#!lua flags=allow-oom
-- Ends a reply without its writer: what it says is what its log says. The texts are JSON's spelling without the
-- quotes, and so is what they make together.
local messageId, replyId, how = ARGV[4], ARGV[5], ARGV[6] -- 'cancel', 'seal' or 'look'
local state, outcome, endedAt = ARGV[8], ARGV[9], ARGV[10]

local reply = readRunning()
if reply.id ~= messageId then
  local ended = redis.call('HGET', REPLIES, replyId)
  return ended and { 'closed', string.match(ended, '^%S+') } or { 'gone' }
end
if how == 'look' or how == 'seal' and tonumber(reply.lease) > NOW then return { 'live' } end

local texts = { c = {}, t = {} } -- content, thinking
for _, entry in ipairs(redis.call('LRANGE', LOG, 0, -1)) do
  local channel = texts[string.sub(entry, 1, 1)]
  if channel then channel[#channel + 1] = string.sub(entry, string.find(entry, ':', 2, true) + 1) end
end
local content, thinking = table.concat(texts.c), table.concat(texts.t)

local seq = redis.call('LLEN', LOG) + 1
local _, grownId = toGrowing(reply)
local prefix = string.sub(messageId, 1, -1 - #replyId) -- of the conversation's message ids
local message = '{"role":"assistant","id":"' .. prefix .. (grownId or replyId) .. '","content":"' .. content .. '","createdAt":' .. endedAt
  .. (thinking ~= '' and ',"thinking":"' .. thinking .. '"' or '')
  .. ',' .. reply.body .. ',"seq":' .. seq .. ',"outcome":' .. outcome .. '}'
redis.call('RPUSH', LOG, grownId and 'm' .. message or 'e{"outcome":' .. outcome .. ',"endedAt":' .. endedAt .. '}')
local list = endTurn(reply, {
  replyId = replyId,
  logMs = tonumber(ARGV[7]),
  seq = seq,
  state = state,
  answeredBy = content ~= '' and reply.model or '',
  isSendable = content ~= '' or state == 'done',
  message = message,
})
return { 'ok', list, seq, content }
