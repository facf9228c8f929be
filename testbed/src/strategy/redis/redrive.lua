-- Makes expired leases (each a failed attempt) and due delays ready again, ahead of all others, in the order in
-- which they were delivered. ARGV: maximum of attempts. Returns how many are ready again.
local now = now_ms()
local back = {}

local function take_due(places, reopen)
  for _, receipt in ipairs(redis.call('ZRANGEBYSCORE', places, '-inf', now)) do
    local envelope = redis.call('HGET', items, receipt)
    redis.call('ZREM', places, receipt)
    redis.call('HDEL', items, receipt)
    envelope = envelope and reopen(envelope)
    if envelope then
      back[#back + 1] = { number = tonumber(string.match(receipt, '#(%d+)$')) or 0, envelope = envelope }
    end
  end
end

take_due(leases, function(envelope) return count_attempt(envelope, ARGV[1], 'lease expired') end)
take_due(delayed, function(envelope) return envelope end)

-- Newest first: the last one pushed is the first to come out.
table.sort(back, function(a, b) return a.number > b.number end)
local envelopes = {}
for i, item in ipairs(back) do
  envelopes[i] = item.envelope
end
in_slices('RPUSH', ready, envelopes)
return #envelopes
