-- Gives up leased tasks that nobody can read. ARGV: receipt, cause, payload, receipt, … Returns how many were not stale.
local buried = 0
for i = 1, #ARGV, 3 do
  if redis.call('ZREM', leases, ARGV[i]) == 1 then
    local failed = open(redis.call('HGET', items, ARGV[i]) or '')
    redis.call('HDEL', items, ARGV[i])
    bury(failed or 0, ARGV[i + 2], ARGV[i + 1])
    buried = buried + 1
  end
end
return buried
