-- Takes a request out of lines, for it is served elsewhere; whoever is behind it there moves up.
-- ARGV rid, then for each line: pool, credential ("" any)
for i = 2, #ARGV, 2 do
  if call('ZREM', line_of(ARGV[i], ARGV[i + 1]), ARGV[1]) == 1 then advance(ARGV[i], ARGV[i + 1]) end
end
