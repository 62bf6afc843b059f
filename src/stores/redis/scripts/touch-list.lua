-- In a Cluster: KEYS[1] is a list of conversations, ARGV its life and the conversation that is used now.
redis.call('ZADD', KEYS[1], NOW, ARGV[3])
redis.call('PEXPIREAT', KEYS[1], NOW + tonumber(ARGV[2]))
