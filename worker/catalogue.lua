-- Puts a worker's catalogue in place, or says why not.
-- KEYS catalogue; ARGV generation (20 digits), fingerprint, revision (20 digits), key id, channel, body or ''
-- -> {'current'} | {'wanted'} (call again with the body) | {'published', version}
--  | {'outdated'} (a living worker has a newer file) | {'conflicting'} (an equally old one) | {'foreign'} (another secret)
redis.call('DEL', '{ps}:none') -- a write that needs no memory: the rest then passes at the memory limit
local key, generation, fingerprint, revision, key_id, channel, body = KEYS[1], unpack(ARGV)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stored = redis.call('HMGET', key, 'generation', 'hash', 'revision', 'key_id', 'seen_ms', 'version')
local seen = tonumber(stored[5])
-- Without a sign of life for 10 s no worker backs it, and it may not hold anybody up.
local alive = seen and math.abs(now - seen) < 10000

if alive and stored[4] ~= key_id then return {'foreign'} end
if alive and stored[2] == fingerprint and stored[3] >= revision then
  redis.call('HSET', key, 'seen_ms', now)
  if generation > stored[1] then redis.call('HSET', key, 'generation', generation) end
  return {'current'}
end
if alive and stored[2] ~= fingerprint and generation <= stored[1] then
  return {generation == stored[1] and 'conflicting' or 'outdated'}
end
if body == '' then return {'wanted'} end
-- Beyond the clock too, so that it grows even when Redis lost the last one.
local version = math.max((tonumber(stored[6]) or 0) + 1, clock[1] * 1000000 + clock[2])
version = string.format('%.0f', version)
redis.call('HSET', key, 'version', version, 'generation', generation, 'hash', fingerprint, 'revision', revision,
  'key_id', key_id, 'body', body, 'seen_ms', now)
redis.call('PUBLISH', channel, version)
return {'published', version}
