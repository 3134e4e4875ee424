-- Stands before every script: names, the server's clock and what several scripts do.
local QUEUE, DUE, SCORES, SUSPECTS, SOLO = '{ps}:queue', '{ps}:due', '{ps}:scores', '{ps}:suspects', '{ps}:solo'
local NOTES = '{ps}:notes'
local JOBS, BYTES, TRIES, DEATHS, OWNER = '{ps}:jobs', '{ps}:bytes', '{ps}:tries', '{ps}:deaths', '{ps}:owner'
local WORKERS, FRONTS, DOUBTS, REAPED = '{ps}:workers', '{ps}:fronts', '{ps}:doubts', '{ps}:reaped'
local WAKE, WOKEN, WOKEN_MS, NURSERY = '{ps}:wake', '{ps}:woken', 10, '{ps}:nursery'
local RESP, CTL, INF = '{ps}:resp:', '{ps}:ctl:', '{ps}:inf:'
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Redis refuses a script at its memory limit only at its first write that may need memory; after a write that needs
-- none the rest passes, on 6.2 and on 7. Finishing and claiming must work then: they free memory.
local function pass_memory_limit() call('DEL', '{ps}:none') end

-- Workers are woken one after another: what comes before the last one woken claims is for it. Jobs then come in batches
-- to a few workers, not singly to each of many, which would spend all its system calls on each. WOKEN_MS bound the wait
-- for one that is slow to claim.
local function wake()
  if call('LLEN', WAKE) == 0 and call('SET', WOKEN, '1', 'NX', 'PX', WOKEN_MS) then call('LPUSH', WAKE, '1') end
end

local function forget_payload(rid)
  local size = call('HSTRLEN', JOBS, rid)
  if size > 0 then call('DECRBY', BYTES, size); call('HDEL', JOBS, rid) end
end

local function forget(rid)
  forget_payload(rid)
  call('HDEL', TRIES, rid); call('HDEL', DEATHS, rid); call('HDEL', OWNER, rid); call('HDEL', SCORES, rid); call('HDEL', NOTES, rid)
end

local function unqueue(rid)
  return call('ZREM', QUEUE, rid) + call('ZREM', DUE, rid) + call('ZREM', SUSPECTS, rid) + call('ZREM', SOLO, rid)
end

local function is_queued(rid)
  return call('ZSCORE', QUEUE, rid) or call('ZSCORE', DUE, rid) or call('ZSCORE', SUSPECTS, rid) or call('ZSCORE', SOLO, rid)
end

-- A suspect stays one, whoever gives it back.
local function requeue(rid, score)
  local deaths = call('HGET', DEATHS, rid)
  call('ZADD', deaths and (deaths == '1' and SUSPECTS or SOLO) or QUEUE, score, rid)
end

local function front_of(rid) return string.match(rid, '^(.*)%.%d+$') end

local function listens(channel) return call('PUBSUB', 'NUMSUB', channel)[2] > 0 end

local function park(rid, due, score)
  call('HSETNX', SCORES, rid, score); call('ZADD', DUE, due, rid)
end
