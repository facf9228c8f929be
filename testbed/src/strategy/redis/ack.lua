-- Forgets leased tasks: they are in the database. ARGV: receipts. Returns how many were not stale.
local ended = 0
for _, receipt in ipairs(ARGV) do
  if redis.call('ZREM', leases, receipt) == 1 then
    redis.call('HDEL', items, receipt)
    ended = ended + 1
  end
end
return ended
