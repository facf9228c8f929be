-- Leases the oldest ready tasks. ARGV: at most, lease in ms, instance.
-- Returns receipt, envelope, receipt, envelope, … The list is cut last: should a command fail, nothing is gone.
local waiting = redis.call('LRANGE', ready, -tonumber(ARGV[1]), -1)
if #waiting == 0 then
  return {}
end
local ends = now_ms() + ARGV[2]
local number = redis.call('HINCRBY', counters, 'receipt', #waiting) - #waiting
local answer = {}
for i = #waiting, 1, -1 do
  number = number + 1
  local receipt = string.format('%s#%d', ARGV[3], number)
  redis.call('HSET', items, receipt, waiting[i])
  redis.call('ZADD', leases, ends, receipt)
  answer[#answer + 1] = receipt
  answer[#answer + 1] = waiting[i]
end
redis.call('RPOP', ready, #waiting)
return answer
