-- A worker's heartbeat for all its leases. It also gives back those that a Redis without memory has forgotten.
-- ARGV lease ms, then for each lease: pool, credential, lease -> leases renewed
for i = 2, #ARGV, 3 do hold(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[1])) end
return (#ARGV - 1) / 3
