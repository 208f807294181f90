-- RELEASE: hand a running job back, at once or after a delay.
--
-- KEYS  1 stream   2 job   3 wakeup   4 counters
-- ARGV  1 group   2 consumer   3 entry   4 epoch   5 lease in ms   6 delay in ms, at most the lease
--       7 the count to raise: 'releases' | 'retries'   8 its cap   9 why, for the history
--       10 '1' where this delivery shall not count against the job, else '0'
-- Returns 'released' | 'exhausted' (nothing changed) | 'lost' (the entry is gone; nothing changed)
--         | 'fenced'

local STREAM, JOB, WAKEUP, COUNTERS = unpack(KEYS)
local GROUP, CONSUMER, ENTRY, EPOCH = unpack(ARGV, 1, 4)
local LEASE_MS, DELAY_MS, COUNT, CAP = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local FORGIVEN = tonumber(ARGV[10])

local refusal = refuse_wrong_types({ STREAM, 'stream', JOB, 'hash', WAKEUP, 'stream', COUNTERS, 'hash' })
if refusal then
  return refusal
end

local state, epoch, entry, count = unpack(call('HMGET', JOB, 'state', 'epoch', 'entry', COUNT))
if state ~= 'running' or epoch ~= EPOCH or entry ~= ENTRY then
  return 'fenced'
end
if tonumber(count or 0) >= CAP then
  return 'exhausted'
end
if not entry_exists(STREAM, ENTRY) then
  return 'lost'
end
hand_back(STREAM, GROUP, CONSUMER, ENTRY, JOB, LEASE_MS, DELAY_MS, FORGIVEN)
call('HINCRBY', JOB, COUNT, 1)
call('HINCRBY', COUNTERS, COUNT, 1)
remember(JOB, ARGV[9])
if DELAY_MS == 0 then
  wake(WAKEUP)
end
return 'released'
