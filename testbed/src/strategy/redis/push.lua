-- Takes each request whole, or not at all where the buffer has no room for all of its tasks.
-- ARGV: capacity, then for each request the number of its tasks, and the tasks.
-- Returns for each request 1 (taken) or 0 (no room).
local room = tonumber(ARGV[1]) - redis.call('LLEN', ready) - redis.call('HLEN', items)
local now = now_ms()
local envelopes, taken = {}, {}
local at = 2
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local fits = count <= room
  if fits then
    room = room - count
    for i = at + 1, at + count do
      envelopes[#envelopes + 1] = seal(0, now, ARGV[i])
    end
  end
  taken[#taken + 1] = fits and 1 or 0
  at = at + count + 1
end
in_slices('LPUSH', ready, envelopes)
if #envelopes > 0 then
  redis.call('HINCRBY', counters, 'accepted', #envelopes)
end
return taken
