-- A worker's heartbeat: renews its lease.
-- ARGV worker, lease ms -> {1 if Redis did not know the worker, jobs it runs by Redis' account, queued, parked}
pass_memory_limit()
local added = call('ZADD', WORKERS, now + ARGV[2], ARGV[1])
return { added, call('HLEN', INF .. ARGV[1]), call('ZCARD', QUEUE), call('ZCARD', DUE) }
