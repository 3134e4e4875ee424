-- Makes Redis' account of what a worker runs equal to the worker's own, after Redis lost data, declared the worker dead
-- or answered a claim that the worker never heard of.
-- ARGV worker, lease ms, {rid, epoch, attempt, state}... -> indexes (from 0) of the jobs that are no longer this worker's
pass_memory_limit()
local worker, lost, own = ARGV[1], {}, {}

-- It waits because its claim was forgotten, in a failover or with a worker that was taken for dead, and nobody else ran it since.
local function is_still_its(rid, epoch, attempt)
  local payload = call('HGET', JOBS, rid)
  local tries = tonumber(call('HGET', TRIES, rid) or '0')
  return payload and string.match(payload, '^%d+') == epoch and tries <= tonumber(attempt)
end

call('ZADD', WORKERS, now + ARGV[2], worker)  -- a sign of life; and whoever owns jobs must be found when it dies
for i = 3, #ARGV, 4 do
  local rid, epoch, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local owner, mine = call('HGET', OWNER, rid), worker .. '|' .. epoch .. '|' .. attempt
  if owner == mine or (not owner and (not is_queued(rid) or is_still_its(rid, epoch, attempt))) then
    own[rid] = true
    unqueue(rid); call('HDEL', SCORES, rid)
    call('HSET', INF .. worker, rid, epoch .. ':' .. attempt .. ':' .. ARGV[i + 3])
    call('HSET', OWNER, rid, mine)
    if tonumber(call('HGET', TRIES, rid) or '0') < tonumber(attempt) then call('HSET', TRIES, rid, attempt) end
    call('HSETNX', FRONTS, front_of(rid), 0)
  else
    lost[#lost + 1] = (i - 3) / 4
  end
end
for _, rid in ipairs(call('HKEYS', INF .. worker)) do
  if not own[rid] then  -- claimed in our name, but the reply was lost: nobody runs it
    call('HDEL', INF .. worker, rid)
    local owner = call('HGET', OWNER, rid)
    if owner and string.match(owner, '^(.*)|%d+|%d+$') == worker then
      call('HDEL', OWNER, rid)
      if call('HEXISTS', JOBS, rid) == 1 then requeue(rid, now); wake() else forget(rid) end
    end
  end
end
return lost
