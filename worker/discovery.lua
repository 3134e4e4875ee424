-- Stores one upstream's model list.
-- KEYS discovered; ARGV field, msgpack of the list, channel -> the new revision
redis.call('DEL', '{ps}:none') -- a write that needs no memory: the rest then passes at the memory limit
local clock = redis.call('TIME')
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision')) or 0
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return string.format('%.0f', revision) end
-- Beyond the clock too, so that it grows even when Redis lost the last one.
revision = string.format('%.0f', math.max(revision + 1, clock[1] * 1000000 + clock[2]))
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], 'revision', revision)
redis.call('PUBLISH', ARGV[3], revision)
return revision
