-- Stands before every script of the accounts, after the lines that set `now`. worker/accounts/names.py tells the keys.
local call = redis.call
local POOL, READY, RESTING, LINE = '{ps}:pool:', '{ps}:pool-ready:', '{ps}:pool-resting:', '{ps}:line:'
local ACCOUNT, LEASES, TURNS = '{ps}:account:', '{ps}:leases:', '{ps}:route-turns:'
local QUEUE, DUE, OWNER, WAKE = '{ps}:queue', '{ps}:due', '{ps}:owner', '{ps}:wake'
local NEVER = 9e15
-- Half a second beyond the minute, because requests reach an upstream with varying delay.
local MINUTE_MS, DAY_MS, SLOTS, SMOOTH_FROM, PROBE_MS = 60500, 86400000, 60, 50, 30000
local FIELDS = { 'weight', 'rank', 'pass', 'rpm', 'tpm', 'tpd', 'concurrency', 'adaptive', 'tat', 'requests', 'minute',
  'day', 'state', 'until_ms', 'trial', 'probe', 'learned_rpm', 'learned_tpm', 'cause', 'faults' }
local TEXT = { requests = true, minute = true, day = true, state = true, probe = true, cause = true }

-- At its memory limit Redis refuses a script at its first write that may need memory; after one that needs none the rest
-- passes. Leases must go on then: what runs frees memory when it ends.
call('DEL', '{ps}:none')

local function load_account(name)
  local values, account = call('HMGET', ACCOUNT .. name, unpack(FIELDS)), {}
  for i, field in ipairs(FIELDS) do
    local value = values[i]
    if value and value ~= '' then account[field] = TEXT[field] and value or tonumber(value) end
  end
  if not account.weight then return nil end
  account.name = name
  account.rpm = account.rpm or account.learned_rpm
  account.tpm = account.tpm or account.learned_tpm
  return account
end

-- A sliding window is {[slot] = amount}, packed. It is exact: a slot counts until it has left the window as a whole.
local function open_window(packed, length_ms)
  local slot_ms = length_ms / SLOTS
  local window = { slots = packed and cmsgpack.unpack(packed) or {}, used = 0, slot = math.floor(now / slot_ms), slot_ms = slot_ms }
  for slot, amount in pairs(window.slots) do
    if slot < window.slot - SLOTS then window.slots[slot] = nil else window.used = window.used + amount end
  end
  return window
end

local function add_to_window(window, amount, at_ms)
  local slot = at_ms and math.floor(at_ms / window.slot_ms) or window.slot
  if slot < window.slot - SLOTS then return end
  window.slots[slot] = math.max(0, (window.slots[slot] or 0) + amount)
end

local function window_free_at(window, limit, cost)
  local used, order = window.used, {}
  if used + cost <= limit then return now end
  for slot in pairs(window.slots) do order[#order + 1] = slot end
  table.sort(order)
  for _, slot in ipairs(order) do
    used = used - window.slots[slot]
    if used + cost <= limit then return (slot + SLOTS + 1) * window.slot_ms end
  end
  return now
end

-- GCRA: bursts of 4 % and the rest of the limit spread over the minute, so that no minute holds more than the limit.
local function pace(rpm)
  local burst = math.floor(rpm * 0.04)
  return MINUTE_MS / (rpm - burst), burst
end

local function count_busy(account)
  if not account.busy then
    call('ZREMRANGEBYSCORE', LEASES .. account.name, '-inf', now)
    account.busy = call('ZCARD', LEASES .. account.name)
  end
  return account.busy
end

-- Whoever dies leaves nothing: a key of leases ends with the last of them.
local function hold(pool, credential, lease, lease_ms)
  for key, member in pairs({ [pool .. '/' .. credential] = lease, [pool] = credential .. ' ' .. lease }) do
    call('ZADD', LEASES .. key, now + lease_ms, member)
    call('PEXPIRE', LEASES .. key, lease_ms)
  end
end

-- When the account may take a request that costs so many tokens, and what it waits for.
local function free_at(account, cost)
  local at, why = now, ''
  local function wait_for(time, reason)
    if time > at then at, why = time, reason end
  end
  if account.state ~= 'ready' then wait_for(account.until_ms or NEVER, account.state == 'cooling' and account.cause or account.state) end
  if account.concurrency and count_busy(account) >= account.concurrency then
    local first = call('ZRANGE', LEASES .. account.name, 0, 0, 'WITHSCORES')
    wait_for(first[2] and tonumber(first[2]) or NEVER, 'concurrency')
  end
  if account.rpm and account.rpm >= SMOOTH_FROM then
    local interval, burst = pace(account.rpm)
    wait_for((account.tat or 0) - (burst - 1) * interval, 'rpm')
  elseif account.rpm then
    account.request_window = account.request_window or open_window(account.requests, MINUTE_MS)
    wait_for(window_free_at(account.request_window, account.rpm, 1), 'rpm')
  end
  if account.tpm then
    account.minute_window = account.minute_window or open_window(account.minute, MINUTE_MS)
    wait_for(window_free_at(account.minute_window, account.tpm, math.min(cost, account.tpm)), 'tpm')
  end
  if account.tpd then
    account.day_window = account.day_window or open_window(account.day, DAY_MS)
    wait_for(window_free_at(account.day_window, account.tpd, math.min(cost, account.tpd)), 'tpd')
  end
  return at, why
end

-- Where an account stands in its pool's order: the smallest is taken. Weight 0 is a standby, behind all others.
local function standing(strategy, account, virtual)
  if strategy == 'priority' or strategy == 'random' then return account.rank + (account.weight == 0 and 1e14 or 0) end
  if strategy == 'least-busy' then
    local share = account.weight == 0 and 1e-6 or account.weight
    return math.floor(count_busy(account) / share * 1e6) + (account.pass or 0) % 1e6 * 1e-6
  end
  return math.max(account.pass or 0, account.weight == 0 and 1e14 or virtual)
end

-- Puts an account among the ready or the resting ones of its pool; `rested` false says that it is not among the latter.
-- -> when it is free
local function place(pool, credential, account, strategy, virtual, rested)
  local at = free_at(account, 1)
  if at <= now then
    if rested ~= false then call('ZREM', RESTING .. pool, credential) end
    call('ZADD', READY .. pool, standing(strategy, account, virtual), credential)
  else
    call('ZREM', READY .. pool, credential)
    call('ZADD', RESTING .. pool, at, credential)
  end
  return at
end

local function line_of(pool, pin) return LINE .. pool .. (pin ~= '' and '/' .. pin or '') end

-- When the first of a line can be served at the earliest.
local function next_turn(pool, pin, first)
  if pin ~= '' then
    local account = load_account(pool .. '/' .. pin)
    return account and free_at(account, 1) or now
  end
  if call('ZCARD', READY .. pool) == 0 then
    local rest = call('ZRANGE', RESTING .. pool, 0, 0, 'WITHSCORES')
    return rest[2] and tonumber(rest[2]) or now
  end
  local head = call('HMGET', POOL .. pool, 'head', 'head_ms')  -- a request that needs more tokens than are left
  return head[1] == first and tonumber(head[2]) or now
end

-- Whoever waits first gets the next turn at the moment at which there is one; those who have left are passed over.
-- -> whether anybody waits
local function advance(pool, pin)
  local line = line_of(pool, pin)
  for _ = 1, 200 do
    local first = call('ZRANGE', line, 0, 0)[1]
    if not first then return false end
    local due = call('ZSCORE', DUE, first)
    if due then
      local turn = next_turn(pool, pin, first)
      if tonumber(due) > turn then call('ZADD', DUE, 'XX', math.floor(turn), first) end
      if turn <= now and call('LLEN', WAKE) == 0 then call('LPUSH', WAKE, '1') end
      return true
    end
    if call('ZSCORE', QUEUE, first) or call('HEXISTS', OWNER, first) == 1 then return true end
    call('ZREM', line, first)
  end
  return true
end
