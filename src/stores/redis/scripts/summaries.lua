-- A conversation's summaries, ascending: a line each, its position and then the JSON.
local function readSummaries()
  local summaries = {}
  for line in string.gmatch(redis.call('HGET', CONVERSATION, 'summaries') or '', '[^\n]+') do
    summaries[#summaries + 1] = { position = tonumber(string.match(line, '^%d+')), line = line }
  end
  return summaries
end

local function writeSummaries(summaries)
  local lines = {}
  for _, summary in ipairs(summaries) do lines[#lines + 1] = summary.line end
  redis.call('HSET', CONVERSATION, 'summaries', table.concat(lines, '\n'))
end
