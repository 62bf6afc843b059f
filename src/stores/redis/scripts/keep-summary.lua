local position, summary, expectedReplaced = tonumber(ARGV[4]), ARGV[5], ARGV[6]
if redis.call('EXISTS', CONVERSATION) == 0 then return { 'gone' } end
-- With fewer messages than it sums up, the conversation is another one, which took the id of a deleted one.
if redis.call('LLEN', MESSAGES) < position then return { 'stale' } end
if (redis.call('HGET', CONVERSATION, 'replaced') or '') ~= expectedReplaced then return { 'stale' } end

-- The newest at or before the cut is kept, and the newest behind it.
local cut = tonumber(redis.call('HGET', CONVERSATION, 'cut'))
local kept = { false, false }
local function offer(one)
  local place = one.position <= cut and 1 or 2
  if not kept[place] or kept[place].position <= one.position then kept[place] = one end
end
for _, one in ipairs(readSummaries()) do offer(one) end
offer({ position = position, line = position .. ' ' .. summary })
local summaries = {}
for _, one in ipairs(kept) do
  if one then summaries[#summaries + 1] = one end
end
writeSummaries(summaries)
return { 'kept' }
