local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000  -- unix ms
