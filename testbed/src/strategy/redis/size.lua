-- Returns ready, leased, delayed, dead, and the age in ms of the next task to come out (−1: none is ready).
local oldest = redis.call('LINDEX', ready, -1)
local age = -1
if oldest then
  local _, offered_at = open(oldest)
  age = math.max(0, now_ms() - (offered_at or now_ms()))
end
return {
  redis.call('LLEN', ready),
  redis.call('ZCARD', leases),
  redis.call('ZCARD', delayed),
  redis.call('LLEN', dead),
  age,
}
