-- Ends a job, or gives it back to wait.
-- ARGV worker, rid, epoch, attempt, ms to wait ("" ends the job), queue score, note for the next run -> 1 done | 0 the job is not this worker's
pass_memory_limit()
local worker, rid, epoch, attempt = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local running = call('HGET', INF .. worker, rid)
if running and string.match(running, '^%d+:%d+') == epoch .. ':' .. attempt then call('HDEL', INF .. worker, rid) end
if call('HGET', OWNER, rid) ~= worker .. '|' .. epoch .. '|' .. attempt then return 0 end
if ARGV[5] == '' or call('HEXISTS', JOBS, rid) == 0 then
  forget(rid)
else
  call('HDEL', OWNER, rid); park(rid, now + ARGV[5], ARGV[6])
  if ARGV[7] ~= '' then call('HSET', NOTES, rid, ARGV[7]) end
end
return 1
