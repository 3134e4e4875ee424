-- The client has left: removes a queued job, tells the owner of a running one.
-- ARGV rid -> "queued" | "running" | "unknown"
pass_memory_limit()
local rid = ARGV[1]
local queued, owner = unqueue(rid) > 0, call('HGET', OWNER, rid)
if not owner then
  forget(rid)
  return queued and 'queued' or 'unknown'
end
forget_payload(rid)  -- if the owner is dead, nobody is to run it again
local worker, epoch, attempt = string.match(owner, '^(.*)|(%d+)|(%d+)$')
call('PUBLISH', CTL .. worker, cmsgpack.pack({ 'cancel', rid, tonumber(epoch), tonumber(attempt) }))
return 'running'
