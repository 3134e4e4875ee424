-- Tells Redis a pool: its credentials, weights and limits. An older configuration changes nothing.
-- ARGV pool, generation, digest, strategy, rpm, smooth, tpm, concurrency (sums; "" where a credential has no limit),
--      1 if this pool has been seen before, so that Redis must have lost it; then for each credential: name, weight,
--      rpm, tpm, tpd, concurrency ("" none), adaptive, disabled, fingerprint of its values, and what a worker remembers
--      of it: "fingerprint|state|cause|since_ms|until_ms|trial|faults", or ""
-- -> 1 taken | 0 a newer one is known
local pool, known = ARGV[1], ARGV[9] == '1'
local old = call('HMGET', POOL .. pool, 'generation', 'virtual')
if old[1] and tonumber(old[1]) > tonumber(ARGV[2]) then return 0 end
local virtual = tonumber(old[2] or 0)
call('HSET', POOL .. pool, 'generation', ARGV[2], 'digest', ARGV[3], 'strategy', ARGV[4], 'rpm', ARGV[5], 'smooth', ARGV[6],
  'tpm', ARGV[7], 'concurrency', ARGV[8])

-- What was used in the last minute is not known: the burst is taken for used, and the rest comes back at its usual pace.
local function start_empty(set, rpm, tpm, tpd)
  local function even(limit, length_ms)
    local slots, newest = {}, math.floor(now / (length_ms / SLOTS))
    for back = 0, SLOTS - 1 do slots[newest - back] = limit / SLOTS end
    return cmsgpack.pack(slots)
  end
  if rpm and rpm >= SMOOTH_FROM then
    local interval, burst = pace(rpm)
    set('tat', now + (known and burst or burst - 1) * interval)
  end
  if not known then return end
  if rpm and rpm < SMOOTH_FROM then set('requests', even(rpm, MINUTE_MS)) end
  if tpm then set('minute', even(tpm, MINUTE_MS)) end
  if tpd then set('day', even(tpd, DAY_MS)) end
end

local function write(name, rank, weight, rpm, tpm, tpd, concurrency, adaptive, disabled, fingerprint, remembered)
  local key = ACCOUNT .. pool .. '/' .. name
  local was = call('HMGET', key, 'fingerprint', 'state', 'cause')
  local changes = { 'rank', rank, 'weight', weight, 'rpm', rpm, 'tpm', tpm, 'tpd', tpd, 'concurrency', concurrency,
    'adaptive', adaptive, 'fingerprint', fingerprint }
  local function set(field, value) changes[#changes + 1] = field; changes[#changes + 1] = value end
  if not was[1] then
    set('pass', virtual + 0.5 / math.max(tonumber(weight), 1)); set('faults', 0)
    start_empty(set, tonumber(rpm), tonumber(tpm), tonumber(tpd))
  end
  if disabled == '1' then
    set('state', 'disabled'); set('cause', 'configuration'); set('until_ms', NEVER); set('since_ms', now); set('trial', 0)
  elseif not was[2] and string.sub(remembered, 1, #fingerprint + 1) == fingerprint .. '|' then
    local state, cause, since, till, trial, faults = string.match(remembered, '^[^|]*|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
    set('state', state); set('cause', cause); set('since_ms', since); set('until_ms', till); set('trial', trial); set('faults', faults)
  elseif not was[2] or was[1] ~= fingerprint or (was[2] == 'disabled' and was[3] == 'configuration') then
    set('state', 'ready'); set('cause', ''); set('since_ms', now); set('faults', 0)
  end
  call('HSET', key, unpack(changes))
end

local gone = {}
for _, key in ipairs({ READY, RESTING }) do
  for _, name in ipairs(call('ZRANGE', key .. pool, 0, -1)) do gone[name] = true end
end
for i = 10, #ARGV, 10 do
  local name = ARGV[i]
  gone[name] = nil
  write(name, (i - 10) / 10, unpack(ARGV, i + 1, i + 9))
  place(pool, name, load_account(pool .. '/' .. name), ARGV[4], virtual)
end
for name in pairs(gone) do
  call('ZREM', READY .. pool, name); call('ZREM', RESTING .. pool, name)
  call('DEL', ACCOUNT .. pool .. '/' .. name)
end
advance(pool, '')
return 1
