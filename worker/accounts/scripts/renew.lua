-- A worker's heartbeat for all its leases and for the lines that it has put somebody into. It also gives back leases that a
-- Redis without memory has forgotten, and takes those out of lines who have left.
-- ARGV lease ms, number of lines, then for each line: pool, credential ("" any); then for each lease: pool, credential, lease
-- -> for each line 1 if somebody waits there
local waiting, leases_from = {}, 3 + 2 * tonumber(ARGV[2])
for i = 3, leases_from - 1, 2 do waiting[#waiting + 1] = advance(ARGV[i], ARGV[i + 1]) and 1 or 0 end
for i = leases_from, #ARGV, 3 do hold(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[1])) end
return waiting
