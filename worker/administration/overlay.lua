-- Puts an overlay in place of the one that its writer knew, or not at all.
-- KEYS overlay; ARGV generation that must be there (0 none), generation, body, channel -> 1 done | 0 another one is there
redis.call('DEL', '{ps}:none') -- a write that needs no memory: the rest then passes at the memory limit
if tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'body', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
