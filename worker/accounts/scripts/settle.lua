-- Ends a lease: frees its place, replaces the estimate of tokens by what was used, and tells how the account fared.
-- ARGV pool, credential, lease, leased at (unix ms), tokens reserved, tokens used (-1 unknown), ms held, verdict: well |
--      ill | nothing, state, cause, rest in ms (-1 for ever), faults in a row that are borne, 1 if the rest doubles each
--      time, 1 if it ends with a probe, learned: ms for which the upstream takes nothing more, rpm, tpm (0 none)
-- -> 1 settled | 0 the lease had ended
local pool, credential, lease, verdict = ARGV[1], ARGV[2], ARGV[3], ARGV[8]
local name = pool .. '/' .. credential
local held = call('ZREM', LEASES .. name, lease)
call('ZREM', LEASES .. pool, credential .. ' ' .. lease)
local state = call('HMGET', POOL .. pool, 'strategy', 'virtual', 'hold_ms')
local account = load_account(name)
if not account or not state[1] then return held end
local changes = {}
local function set(field, value)
  account[field] = value
  changes[#changes + 1] = field; changes[#changes + 1] = value
end

local function settle_tokens(used)
  for field, limit in pairs({ minute = account.tpm and MINUTE_MS, day = account.tpd and DAY_MS }) do
    local window = open_window(account[field], limit)
    local excess = used - tonumber(ARGV[5])
    add_to_window(window, excess, excess < 0 and tonumber(ARGV[4]) or nil)
    set(field, cmsgpack.pack(window.slots))
  end
  call('HDEL', POOL .. pool, 'head')
end

local function rest(new_state, cause, rest_ms, trial)
  local until_ms = rest_ms < 0 and NEVER or now + rest_ms
  if account.state ~= 'ready' and account.state ~= 'probing' and (account.until_ms or NEVER) >= until_ms then return end
  set('state', new_state); set('cause', cause); set('since_ms', now); set('until_ms', until_ms); set('trial', trial)
end

-- A limit that nobody told shows itself when it is met.
local function meet_limit()
  if account.adaptive ~= 1 then return end
  local seen = open_window(account.requests, MINUTE_MS).used
  set('learned_rpm', math.max(1, math.floor(math.min(seen, account.learned_rpm or seen) * 0.9)))
  set('learned_ms', now)
end

local function try_more()
  if account.adaptive ~= 1 or not account.learned_rpm then return end
  if now - tonumber(call('HGET', ACCOUNT .. name, 'learned_ms') or 0) < MINUTE_MS / 4 then return end
  if open_window(account.requests, MINUTE_MS).used >= account.learned_rpm * 0.8 then
    set('learned_rpm', math.ceil(account.learned_rpm * 1.05)); set('learned_ms', now)
  end
end

local function fare_well()
  if account.probe == lease or account.state == 'ready' then
    if account.state ~= 'ready' then set('state', 'ready'); set('cause', ''); set('since_ms', now); set('probe', '') end
    if account.faults ~= 0 then set('faults', 0) end
  end
  try_more()
  if not account.concurrency then return end
  call('HSET', POOL .. pool, 'hold_ms', tonumber(state[3] or ARGV[7]) * 0.9 + tonumber(ARGV[7]) * 0.1)
end

local function fare_ill()
  local faults = call('HINCRBY', ACCOUNT .. name, 'faults', 1) - tonumber(ARGV[12])
  if ARGV[10] == 'rate_limited' then meet_limit() end
  local probed = account.probe == lease and account.state == 'probing'
  if faults <= 0 and not probed then return end
  local rest_ms = tonumber(ARGV[11])
  if ARGV[13] == '1' then rest_ms = rest_ms * 2 ^ math.min(math.max(faults - 1, 0), 6) end
  rest(ARGV[9], ARGV[10], rest_ms, tonumber(ARGV[14]))
end

if held == 1 and tonumber(ARGV[6]) >= 0 then settle_tokens(tonumber(ARGV[6])) end
if verdict == 'well' then fare_well() elseif verdict == 'ill' then fare_ill() end
if account.adaptive == 1 and tonumber(ARGV[16]) > 0 then set('learned_rpm', tonumber(ARGV[16])); set('learned_ms', now) end
if account.adaptive == 1 and tonumber(ARGV[17]) > 0 then set('learned_tpm', tonumber(ARGV[17])) end
if tonumber(ARGV[15]) > 0 then rest('cooling', 'rate_limited', tonumber(ARGV[15]), 0) end
if #changes > 0 then call('HSET', ACCOUNT .. name, unpack(changes)) end
if #changes > 0 or account.concurrency or state[1] == 'least-busy' then
  place(pool, credential, account, state[1], tonumber(state[2] or 0))
end
advance(pool, ''); advance(pool, credential)
return held
