-- RENEW: renew leases.
--
-- KEYS  stream, job   of each lease in turn
-- ARGV  1 group   2 consumer   3... entry, epoch   of each lease in turn
-- Returns 'ok' | 'fenced' | 'cancelled' for each lease, in order
--
-- XCLAIM takes an entry from whoever has it, so a worker that lost its lease must not get as far.

local GROUP, CONSUMER = ARGV[1], ARGV[2]

local function renew_one(stream, job, entry, epoch)
  if wrong_type(job, 'hash') or wrong_type(stream, 'stream') then
    return 'fenced'
  end
  local state, current, home, cancel, deliveries =
    unpack(call('HMGET', job, 'state', 'epoch', 'entry', 'cancel', 'deliveries'))
  if state ~= 'running' or current ~= epoch or home ~= entry then
    return 'fenced'
  end
  call('HSET', job, 'beat', integer(now_ms()))
  -- XCLAIM forgets an entry that was deleted: it would be pending no more, and its loss unnoticed.
  if entry_exists(stream, entry) then
    -- An error is a group that was destroyed; the epoch goes on protecting the job.
    -- With FORCE it is pending again that a person had acknowledged, or whose consumer was deleted.
    attempt('XCLAIM', stream, GROUP, CONSUMER, 0, entry, 'RETRYCOUNT', deliveries or 1, 'FORCE', 'JUSTID')
  end
  return cancel and 'cancelled' or 'ok'
end

local answers = {}
for i = 1, #KEYS, 2 do
  answers[#answers + 1] = renew_one(KEYS[i], KEYS[i + 1], ARGV[i + 2], ARGV[i + 3])
end
return answers
