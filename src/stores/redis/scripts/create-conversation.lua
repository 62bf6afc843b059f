if redis.call('EXISTS', CONVERSATION) == 1 then return { 'exists' } end
createConversation(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
for i = 8, #ARGV, 2 do redis.call('HSET', CONVERSATION, ARGV[i], ARGV[i + 1]) end
touch()
return { 'created', readConversation() }
