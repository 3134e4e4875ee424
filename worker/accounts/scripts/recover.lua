-- A probe has brought first content: its account is ready again, for everybody, before the answer ends.
-- ARGV pool, credential, lease ("" whatever probes: a person or a health check says so) -> 1 ready | 0 the probe was not this lease's
local pool, credential = ARGV[1], ARGV[2]
local account = load_account(pool .. '/' .. credential)
if not account or (ARGV[3] ~= '' and account.probe ~= ARGV[3]) then return 0 end
account.state = 'ready'
call('HSET', ACCOUNT .. account.name, 'state', 'ready', 'cause', '', 'since_ms', now, 'faults', 0, 'probe', '')
local state = call('HMGET', POOL .. pool, 'strategy', 'virtual')
place(pool, credential, account, state[1], tonumber(state[2] or 0))
advance(pool, ''); advance(pool, credential)
return 1
