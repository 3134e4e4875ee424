-- Counts wrong administration keys per client address, in windows that begin with the first.
-- ARGV address, 1 if this key is wrong, most wrong keys in a window, window ms, most addresses counted apart (all others
--      share one count) -> 0 go on | ms until this address may try again
local INDEX, COUNT = '{ps}:admin-failing', '{ps}:admin-failures:'
local address, wrong, most, window = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('DEL', '{ps}:none') -- a write that needs no memory: the rest then passes at the memory limit
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', INDEX, '-inf', now)
if not redis.call('ZSCORE', INDEX, address) and redis.call('ZCARD', INDEX) >= tonumber(ARGV[5]) then address = 'others' end
local key = COUNT .. address
local count = tonumber(redis.call('GET', key) or 0)
if count >= most then return math.max(redis.call('PTTL', key), 1) end
if wrong then
  if redis.call('INCR', key) == 1 then
    redis.call('PEXPIRE', key, window)
    redis.call('ZADD', INDEX, now + window, address)
    redis.call('PEXPIRE', INDEX, window)
  end
end
return 0
