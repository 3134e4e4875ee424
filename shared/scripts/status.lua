-- ARGV rids -> for each 0 unknown | 1 queued | 2 running
local known = {}
for i, rid in ipairs(ARGV) do
  known[i] = call('HEXISTS', OWNER, rid) == 1 and 2 or (is_queued(rid) and 1 or 0)
end
return known
