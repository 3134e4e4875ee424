-- Puts a job into the queue.
-- ARGV rid, "<epoch>:" + envelope, max depth, max bytes, "1" if this is a further epoch of an admitted request
-- -> 1 queued | 0 already known (queued or running) | -1 too many jobs | -2 too many bytes
local rid, payload = ARGV[1], ARGV[2]
if call('HEXISTS', OWNER, rid) == 1 or is_queued(rid) then return 0 end
if ARGV[5] ~= '1' then
  if call('ZCARD', QUEUE) + call('ZCARD', DUE) >= tonumber(ARGV[3]) then return -1 end
  if tonumber(call('GET', BYTES) or '0') + #payload > tonumber(ARGV[4]) then return -2 end
end
forget_payload(rid)
call('HSET', JOBS, rid, payload); call('INCRBY', BYTES, #payload)
call('HSETNX', FRONTS, front_of(rid), 0)
call('ZADD', QUEUE, string.format('%d.%03d', now, clock[2] % 1000), rid)  -- in order also within a millisecond
wake()
return 1
