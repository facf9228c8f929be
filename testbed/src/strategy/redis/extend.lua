-- Prolongs leases. ARGV: lease in ms from now, receipts. Returns how many were not stale.
local ends = now_ms() + ARGV[1]
local extended = 0
for i = 2, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, ends, ARGV[i])
    extended = extended + 1
  end
end
return extended
