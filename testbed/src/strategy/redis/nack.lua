-- Gives leased tasks back. ARGV: delay in ms, maximum of attempts, whether the attempt counts (1 or 0), cause,
-- receipts. Returns how many were not stale.
local delay, max_attempts, counts, cause = tonumber(ARGV[1]), ARGV[2], ARGV[3] == '1', ARGV[4]
local due = now_ms() + delay
local given_back = 0
-- Newest first: without a delay the oldest is the first to come out again.
for i = #ARGV, 5, -1 do
  local receipt = ARGV[i]
  if redis.call('ZREM', leases, receipt) == 1 then
    given_back = given_back + 1
    local envelope = redis.call('HGET', items, receipt)
    if envelope and counts then
      envelope = count_attempt(envelope, max_attempts, cause)
    end
    redis.call('HDEL', items, receipt)
    if envelope and delay > 0 then
      redis.call('HSET', items, receipt, envelope)
      redis.call('ZADD', delayed, due, receipt)
    elseif envelope then
      redis.call('RPUSH', ready, envelope)
    end
  end
end
return given_back
