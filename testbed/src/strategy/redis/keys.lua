-- In front of every script: the keys, the clock, and what an envelope is.
-- An envelope is `<failed attempts>:<offered at, ms>:<task>`; a receipt is `<instance>#<number>`.
local ready, leases, delayed, items, dead, counters = unpack(KEYS)

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua cannot pass more than some 8,000 arguments at once.
local function in_slices(command, key, values)
  for from = 1, #values, 1000 do
    redis.call(command, key, unpack(values, from, math.min(from + 999, #values)))
  end
end

local function seal(failed, offered_at, task)
  return string.format('%d:%d:', failed, offered_at) .. task
end

-- Failed attempts, offered at, task; nothing where it is no envelope.
local function open(envelope)
  return string.match(envelope, '^(%d+):(%d+):(.*)$')
end
