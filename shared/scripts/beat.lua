-- A worker's heartbeat: renews its lease.
-- ARGV worker, lease ms -> {1 if Redis did not know the worker, jobs it runs by Redis' account, queued, parked,
--                           ms until the next parked job is due or -1}
pass_memory_limit()
local added = call('ZADD', WORKERS, now + ARGV[2], ARGV[1])
local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
return { added, call('HLEN', INF .. ARGV[1]), call('ZCARD', QUEUE), call('ZCARD', DUE), first[2] and math.max(0, first[2] - now) or -1 }
