-- Registers again all that a worker runs, after Redis lost data or declared the worker dead.
-- ARGV worker, {rid, epoch, attempt, state}... -> indexes (from 0) of the jobs that are no longer this worker's
pass_memory_limit()
local worker, lost = ARGV[1], {}
for i = 2, #ARGV, 4 do
  local rid, epoch, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local owner, mine = call('HGET', OWNER, rid), worker .. '|' .. epoch .. '|' .. attempt
  if owner == mine or (not owner and not is_queued(rid)) then
    call('HSET', INF .. worker, rid, epoch .. ':' .. attempt .. ':' .. ARGV[i + 3])
    call('HSET', OWNER, rid, mine)
    if tonumber(call('HGET', TRIES, rid) or '0') < tonumber(attempt) then call('HSET', TRIES, rid, attempt) end
    call('HSETNX', FRONTS, front_of(rid), 0)
  else
    lost[#lost + 1] = (i - 2) / 4
  end
end
return lost
