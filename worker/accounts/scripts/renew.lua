-- A worker's heartbeat for all its leases. It also gives back those that a Redis without memory has forgotten.
-- ARGV lease ms, then for each lease: pool, credential, lease -> leases renewed
for i = 2, #ARGV, 3 do
  call('ZADD', LEASES .. ARGV[i] .. '/' .. ARGV[i + 1], now + ARGV[1], ARGV[i + 2])
  call('ZADD', LEASES .. ARGV[i], now + ARGV[1], ARGV[i + 1] .. ' ' .. ARGV[i + 2])
end
return (#ARGV - 1) / 3
