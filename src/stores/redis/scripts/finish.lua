#!lua flags=allow-oom
local write = { messageId = ARGV[4], replyId = ARGV[5], token = ARGV[6] }
local seq, firstEntry = tonumber(ARGV[8]), 13
local count = #ARGV - firstEntry + 1

local refusal = toRefusal(RUNNING, REPLIES, write) or toPlaceRefusal(LOG, seq, count)
if refusal then return refusal end
push(LOG, firstEntry, #ARGV)
local list = endTurn(readRunning(), {
  replyId = write.replyId,
  logMs = tonumber(ARGV[7]),
  seq = seq + count - 1,
  state = ARGV[9],
  answeredBy = ARGV[10],
  isSendable = ARGV[11] == '1',
  message = ARGV[12],
})
return { 'ok', list }
