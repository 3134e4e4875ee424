-- Chooses a target and one of its credentials, and leases it; or says how long the shortest wait is.
-- ARGV rid ("" never waits in line), place in line, deadline (unix ms), lease, lease ms, tokens, strategy: given | turns |
--      least-busy, turns ("" or the route), affinity key, affinity ttl in s, random number in [0, 1), credentials to leave
--      out (" target/credential ... "), what it waits for (" rpm tpm ", "" anything),
--      then for each target: pool, generation, digest, weight, credential ("" any), turn
-- -> {"leased", target, credential, unix ms, 1 if it is a probe} | {"wait", target, ms, why} | {"late", target, ms, why} |
--    {"rests", target, ms, why} in time, but it does not wait for this |
--    {"none", target, 0, why} no credential can ever serve it | {"stale", target, 0, ""} send `sync` first
local rid, position, deadline, lease, lease_ms, cost = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local affinity, luck, left_out, awaited = ARGV[9], tonumber(ARGV[11]), ARGV[12], ARGV[13]
-- Requests that came together ask in any order. Whoever asks later is counted behind those of about its own place, so that
-- nobody who was told to wait is pushed beyond its deadline.
local DISORDER_MS = 5000
local targets, kept = {}, nil
for i = 14, #ARGV, 6 do
  local pool = ARGV[i]
  local state = call('HMGET', POOL .. pool, 'generation', 'digest', 'strategy', 'virtual', 'rpm', 'smooth', 'tpm', 'concurrency', 'hold_ms')
  if not state[1] or (state[2] ~= ARGV[i + 2] and tonumber(ARGV[i + 1]) > tonumber(state[1])) then
    return { 'stale', #targets, 0, '' }
  end
  targets[#targets + 1] = { number = #targets, pool = pool, weight = tonumber(ARGV[i + 3]), pin = ARGV[i + 4],
    field = pool .. '/' .. ARGV[i + 5],
    strategy = state[3], virtual = tonumber(state[4] or 0), rpm = tonumber(state[5]), smooth = state[6] == '1',
    tpm = tonumber(state[7]), concurrency = tonumber(state[8]), hold_ms = tonumber(state[9] or 2000) }
end

local function arrange()
  if ARGV[7] == 'turns' and #targets > 1 then
    local fields = { 'virtual' }
    for i, target in ipairs(targets) do fields[i + 1] = target.field end
    local turns = call('HMGET', TURNS .. ARGV[8], unpack(fields))
    targets.virtual = tonumber(turns[1] or 0)
    for i, target in ipairs(targets) do
      local start = target.weight == 0 and 1e14 or targets.virtual
      local turn = tonumber(turns[i + 1] or start + 0.5 / math.max(target.weight, 1))
      if not turns[i + 1] then call('HSET', TURNS .. ARGV[8], fields[i + 1], turn) end
      target.turn = math.max(start, turn)
    end
  elseif ARGV[7] == 'least-busy' then
    for _, target in ipairs(targets) do
      target.used = tonumber(call('HGET', TURNS .. ARGV[8], 'used ' .. target.field) or 0)
      call('ZREMRANGEBYSCORE', LEASES .. target.pool, '-inf', now)
      target.turn = target.weight == 0 and 1e14 or call('ZCARD', LEASES .. target.pool) / target.weight
    end
  end
  if affinity ~= '' then kept = call('GET', affinity) end
  for _, target in ipairs(targets) do
    if kept and string.sub(kept, 1, #target.pool + 1) == target.pool .. '/' then target.turn = -1; target.kept = string.sub(kept, #target.pool + 2) end
  end
  local order = {}
  for i, target in ipairs(targets) do order[i] = target end
  table.sort(order, function(a, b)
    if a.turn == b.turn and a.used ~= b.used then return (a.used or 0) < (b.used or 0) end
    if a.turn == b.turn then return a.number < b.number end
    return (a.turn or a.number) < (b.turn or b.number)
  end)
  return order
end

local function is_left_out(target, credential)
  return string.find(left_out, ' ' .. target.number .. '/' .. credential .. ' ', 1, true) ~= nil
end

local function return_rested(target)
  for _, credential in ipairs(call('ZRANGEBYSCORE', RESTING .. target.pool, '-inf', now, 'LIMIT', 0, 32)) do
    local account = load_account(target.pool .. '/' .. credential)
    if account then place(target.pool, credential, account, target.strategy, target.virtual)
    else call('ZREM', RESTING .. target.pool, credential) end
  end
end

local function candidates(target)
  if target.pin ~= '' then return { target.pin } end
  local names = call('ZRANGE', READY .. target.pool, 0, 15)
  if target.kept and call('ZSCORE', READY .. target.pool, target.kept) then table.insert(names, 1, target.kept) end
  if target.strategy == 'random' and not target.kept then
    local usual = call('ZCOUNT', READY .. target.pool, '-inf', '(100000000000000')
    local at = math.floor(luck * usual)
    if usual > 0 then table.insert(names, 1, call('ZRANGE', READY .. target.pool, at, at)[1]) end
  end
  return names
end

local function charge(account)
  local changes = {}
  local function set(field, value) changes[#changes + 1] = field; changes[#changes + 1] = value end
  if account.rpm and account.rpm >= SMOOTH_FROM then
    account.tat = math.max(account.tat or 0, now) + pace(account.rpm)
    set('tat', account.tat)
  end
  if (account.rpm and account.rpm < SMOOTH_FROM) or account.adaptive then
    account.request_window = account.request_window or open_window(account.requests, MINUTE_MS)
    add_to_window(account.request_window, 1); account.request_window.used = account.request_window.used + 1
    set('requests', cmsgpack.pack(account.request_window.slots))
  end
  for field, window in pairs({ minute = account.minute_window, day = account.day_window }) do
    add_to_window(window, cost); window.used = window.used + cost
    set(field, cmsgpack.pack(window.slots))
  end
  return changes, set
end

local function grant(target, credential, account)
  local pool, probe = target.pool, account.trial == 1 and account.state ~= 'ready'
  local changes, set = charge(account)
  local pass = math.max(account.pass or 0, account.weight == 0 and 1e14 or target.virtual)
  if account.weight > 0 and pass > target.virtual then target.virtual = pass; call('HSET', POOL .. pool, 'virtual', pass) end
  account.pass = pass + ((target.strategy == 'weighted' and account.weight > 0) and 1 / account.weight or 1)
  set('pass', account.pass)
  if probe then
    account.state, account.until_ms = 'probing', now + PROBE_MS
    set('state', 'probing'); set('until_ms', account.until_ms); set('probe', lease)
  elseif account.state ~= 'ready' then
    account.state = 'ready'; set('state', 'ready'); set('cause', ''); set('since_ms', now)
  end
  call('HSET', ACCOUNT .. account.name, unpack(changes))
  hold(pool, credential, lease, lease_ms)
  account.busy = account.busy and account.busy + 1
  place(pool, credential, account, target.strategy, target.virtual, target.pin ~= '')
  if affinity ~= '' then call('SET', affinity, account.name, 'EX', ARGV[10]) end
  if target.turn and ARGV[7] == 'turns' and #targets > 1 then
    local start = math.max(target.turn, target.weight == 0 and 1e14 or targets.virtual)
    local values = { target.field, start + 1 / math.max(target.weight, 1) }
    if target.weight > 0 and start > targets.virtual then values[3] = 'virtual'; values[4] = start end
    call('HSET', TURNS .. ARGV[8], unpack(values)); call('EXPIRE', TURNS .. ARGV[8], 3600)
  elseif target.used then
    call('HSET', TURNS .. ARGV[8], 'used ' .. target.field, call('HINCRBY', TURNS .. ARGV[8], 'uses', 1))
    call('EXPIRE', TURNS .. ARGV[8], 3600)
  end
  for _, other in ipairs(targets) do
    if other.rank then call('ZREM', line_of(other.pool, other.pin), rid); advance(other.pool, other.pin) end
  end
  advance(pool, ''); advance(pool, credential)
  return { 'leased', target.number, credential, string.format('%.3f', now), probe and 1 or 0 }
end

-- How much later than the first free turn those come who have so many before them. Where no limit spreads them, a
-- little: each who is served calls the next one earlier.
local function behind(target, before)
  local ms = before * 10
  if target.rpm then ms = target.smooth and before * MINUTE_MS / target.rpm or math.floor(before / target.rpm) * MINUTE_MS end
  if target.tpm then ms = math.max(ms, math.floor(before * cost / target.tpm) * MINUTE_MS) end
  if target.concurrency then ms = math.max(ms, before * target.hold_ms / target.concurrency) end
  return ms
end

local function first_rest(target, found_at, found_why)
  local at, why = found_at, found_why
  local resting = target.pin == '' and call('ZRANGE', RESTING .. target.pool, 0, 15, 'WITHSCORES') or {}
  for i = 1, #resting, 2 do
    if not is_left_out(target, resting[i]) then
      local time = math.min(tonumber(resting[i + 1]), NEVER)
      if time < at or why == 'left out' then  -- one that rests for ever says why, too
        at = time
        local account = load_account(target.pool .. '/' .. resting[i])
        if account then why = select(2, free_at(account, cost)) end
      end
      break
    end
  end
  if why == 'concurrency' then at = math.min(at, now + target.hold_ms / math.max(target.concurrency or 1, 1)) end
  return at, why
end

-- -> the grant, or nil, when it is this request's turn here and why it must wait
local function try(target)
  return_rested(target)
  local line, at, why, queueing = line_of(target.pool, target.pin), NEVER, 'left out', false
  if rid ~= '' then
    local first = call('ZRANGE', line, 0, 0, 'WITHSCORES')
    queueing = first[2] and first[1] ~= rid and tonumber(first[2]) <= position and advance(target.pool, target.pin)
  end
  for _, credential in ipairs(candidates(target)) do
    local account = not is_left_out(target, credential) and load_account(target.pool .. '/' .. credential)
    if account then
      local free, reason = free_at(account, cost)
      if free <= now and not queueing then return grant(target, credential, account) end
      if free < at then at, why = free, reason end
      if free > now and free_at(account, 1) > now then place(target.pool, credential, account, target.strategy, target.virtual) end
    end
  end
  at, why = first_rest(target, at, why)
  target.before = rid == '' and 0 or target.rank or call('ZCOUNT', line, '-inf', position + DISORDER_MS)
  return nil, at >= NEVER and NEVER or math.max(at, now) + behind(target, target.before), why == '' and 'line' or why
end

local best, best_at, best_why = targets[1], NEVER, 'left out'
for _, target in ipairs(targets) do
  target.rank = rid ~= '' and call('ZRANK', line_of(target.pool, target.pin), rid)
end
for _, target in ipairs(arrange()) do
  local leased, at, why = try(target)
  if leased then return leased end
  if at < best_at or best_at == NEVER and best_why == 'left out' then best, best_at, best_why = target, at, why end
end
local in_time = best_at <= deadline
local waits = in_time and (awaited == '' or string.find(awaited, ' ' .. best_why .. ' ', 1, true) ~= nil)
for _, target in ipairs(targets) do
  if target.rank and not (waits and target == best) then call('ZREM', line_of(target.pool, target.pin), rid) end
end
-- Who may not use every credential waits beside the line: at its head it would hold up those who may.
if waits and rid ~= '' and left_out == '' then
  call('ZADD', line_of(best.pool, best.pin), ARGV[2], rid)
  local left_ms = math.ceil(deadline - now) + 1000
  if call('PTTL', line_of(best.pool, best.pin)) < left_ms then call('PEXPIRE', line_of(best.pool, best.pin), left_ms) end
  if best.before == 0 and (best_why == 'tpm' or best_why == 'tpd') then call('HSET', POOL .. best.pool, 'head', rid, 'head_ms', best_at) end
end
local verdict = waits and 'wait' or in_time and 'rests' or best_at >= NEVER and 'none' or 'late'
return { verdict, best.number, best_at >= NEVER and 0 or math.ceil(best_at - now), best_why }
