-- Finds dead workers and dead fronts. Every worker calls it; whoever comes first in each half second does the work.
-- ARGV lease ms, Redis run id, LOST (frame kind)
-- -> {} somebody else just did it | {buried workers, buried fronts, suspects, solo, 1 if this caller is to start a disposable process}
pass_memory_limit()
local lease = tonumber(ARGV[1])
local last, run, calm = string.match(call('GET', REAPED) or '', '^(%d+) (%S+) (%d+)$')
last, calm = tonumber(last), tonumber(calm)
-- After a new Redis, a failover, a freeze or a jump of the clock everybody is resubscribing: that run only records.
local disturbed = not last or last > now or now - last > 2500 or run ~= ARGV[2]
if not disturbed and now - last < 400 then return {} end
if disturbed then calm = now + 3000 end
if last and last > now then  -- the clock was set back: what was due soon is not to wait as long
  for _, rid in ipairs(call('ZRANGEBYSCORE', DUE, now, '+inf')) do call('ZADD', DUE, now, rid) end
end
call('SET', REAPED, string.format('%d %s %d', now, ARGV[2], calm))

local function tell_lost(rid, epoch, attempt, reason)
  local front, number = string.match(rid, '^(.*)%.(%d+)$')
  local frame = { tonumber(number), tonumber(epoch), tonumber(attempt), 0, tonumber(ARGV[3]), reason }
  call('PUBLISH', RESP .. front, cmsgpack.pack({ '', frame }))
end

local function bury_worker(worker)
  call('ZREM', WORKERS, worker); call('HDEL', DOUBTS, worker)
  local running = call('HGETALL', INF .. worker)
  call('DEL', INF .. worker)
  for i = 1, #running, 2 do
    local rid = running[i]
    local epoch, attempt, state = string.match(running[i + 1], '^(%d+):(%d+):(%a)$')
    if call('HGET', OWNER, rid) == worker .. '|' .. epoch .. '|' .. attempt then
      call('HDEL', OWNER, rid)
      local deaths = state == 'q' and call('HEXISTS', JOBS, rid) == 1 and call('HINCRBY', DEATHS, rid, 1)
      if deaths == 1 then call('ZADD', SUSPECTS, now, rid)
      elseif deaths == 2 then call('ZADD', SOLO, now, rid)
      else tell_lost(rid, epoch, attempt, deaths and 'poison' or 'died'); forget(rid) end
    end
  end
end

local function is_dead(worker, deadline)
  if deadline < now then return true end
  if listens(CTL .. worker) then call('HDEL', DOUBTS, worker); return false end
  local doubt, since = string.match(call('HGET', DOUBTS, worker) or '', '^(%d+):(%d+)$')
  if tonumber(doubt) == deadline then return now - since >= 400 end
  call('HSET', DOUBTS, worker, string.format('%d:%d', deadline, now))
  return false
end

local function bury_front(front)
  call('HDEL', FRONTS, front)
  for _, key in ipairs({ QUEUE, DUE, SUSPECTS, SOLO }) do
    local cursor = '0'
    repeat
      local page = call('ZSCAN', key, cursor, 'MATCH', front .. '.*', 'COUNT', 1000)
      cursor = page[1]
      for i = 1, #page[2], 2 do call('ZREM', key, page[2][i]); forget(page[2][i]) end
    until cursor == '0'
  end
end

local buried_workers, buried_fronts = 0, 0
local leases = call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local worker, deadline = leases[i], tonumber(leases[i + 1])
  if deadline > now + lease then call('ZADD', WORKERS, now + lease, worker) end  -- the clock was set back
  if now >= calm and is_dead(worker, deadline) then bury_worker(worker); buried_workers = buried_workers + 1 end
end
local fronts = call('HGETALL', FRONTS)
for i = 1, #fronts, 2 do
  local front, misses = fronts[i], tonumber(fronts[i + 1])
  if listens(RESP .. front) then
    if misses > 0 then call('HSET', FRONTS, front, 0) end
  elseif now >= calm then
    if misses >= 4 then bury_front(front); buried_fronts = buried_fronts + 1
    else call('HSET', FRONTS, front, misses + 1) end
  end
end
if call('ZCARD', QUEUE) > 0 then wake() end
local suspects, solo = call('ZCARD', SUSPECTS), call('ZCARD', SOLO)
local start = suspects + solo > 0 and call('SET', NURSERY, '1', 'NX', 'PX', 1500) and 1 or 0
return { buried_workers, buried_fronts, suspects, solo, start }
