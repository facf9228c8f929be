-- In front of the scripts that may give a task up.
local function bury(failed, task, cause)
  local letter = { cause = cause, attempts = tonumber(failed), at_ms = now_ms(), payload = task }
  redis.call('RPUSH', dead, cjson.encode(letter))
end

-- The envelope with one failed attempt more; nothing where that was its last: then it is dead.
local function count_attempt(envelope, max_attempts, cause)
  local failed, offered_at, task = open(envelope)
  if not failed then
    bury(0, envelope, 'undecodable: not an envelope')
    return nil
  end
  if failed + 1 >= tonumber(max_attempts) then
    bury(failed + 1, task, cause)
    return nil
  end
  return seal(failed + 1, offered_at, task)
end
