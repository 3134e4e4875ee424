-- A client is about to see content of a job: it must not run again. At the memory limit too.
-- ARGV worker, rid, epoch:attempt
pass_memory_limit()
local key, rid, run = INF .. ARGV[1], ARGV[2], ARGV[3]
if call('HGET', key, rid) == run .. ':q' then call('HSET', key, rid, run .. ':s') end
