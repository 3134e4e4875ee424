-- Takes jobs for a worker, oldest first, and renews its lease.
-- ARGV worker, lease ms, most jobs, most bytes, source: queue | suspects | solo
-- -> {how many are left, rid, payload, attempt, score, note, ...}; a first job is given whatever its size
pass_memory_limit()
local worker, room, most_bytes = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local source = ({ queue = QUEUE, suspects = SUSPECTS, solo = SOLO })[ARGV[5]]
call('ZADD', WORKERS, now + ARGV[2], worker)
if source == QUEUE then
  call('DEL', WOKEN)
  for _, rid in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, 200)) do
    call('ZREM', DUE, rid)
    requeue(rid, call('HGET', SCORES, rid) or now)
    call('HDEL', SCORES, rid)
  end
end
-- A burst is shared: the first to wake leaves the others their part. A few jobs are not worth waking another for.
room = math.min(room, math.max(8, math.ceil(call('ZCARD', source) / call('ZCARD', WORKERS))))
local out, bytes, heard = { 0 }, 0, {}
local ids = call('ZRANGE', source, 0, room - 1, 'WITHSCORES')
for i = 1, #ids, 2 do
  local rid, score = ids[i], ids[i + 1]
  local front = front_of(rid)
  if heard[front] == nil then heard[front] = listens(RESP .. front) end
  local payload = call('HGET', JOBS, rid)
  if not payload then
    call('ZREM', source, rid); forget(rid)
  elseif not heard[front] then
    -- nobody would hear the answer: the front is dead, which the reaper finds out, or is resubscribing
    call('ZREM', source, rid); park(rid, now + 1000, score)
  else
    bytes = bytes + #payload
    if #out > 1 and bytes > most_bytes then break end
    call('ZREM', source, rid)
    local epoch, attempt = string.match(payload, '^%d+'), call('HINCRBY', TRIES, rid, 1)
    call('HSET', INF .. worker, rid, epoch .. ':' .. attempt .. ':q')
    call('HSET', OWNER, rid, worker .. '|' .. epoch .. '|' .. attempt)
    out[#out + 1] = rid; out[#out + 1] = payload; out[#out + 1] = attempt; out[#out + 1] = score
    out[#out + 1] = call('HGET', NOTES, rid) or ''
  end
end
out[1] = call('ZCARD', source)
if source == QUEUE and out[1] > 0 then wake() end
return out
