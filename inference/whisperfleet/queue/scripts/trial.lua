-- TRIAL: do nothing, by each command that ends a job, so that a right that is missing, or a server that
-- takes no writes, is known before a job needs it.
--
-- KEYS  1 a key that nothing else uses   2 done   3 dead letters   4 counters   5 running
--       6... input streams
-- ARGV  1 group
-- Returns 'able'; what is in the way comes as Redis's own error

local TRIAL, DONE, DEAD, COUNTERS, RUNNING = unpack(KEYS, 1, 5)
local FIRST_STREAM, GROUP = 6, ARGV[1]

local refusal =
  refuse_wrong_types({ DONE, 'stream', DEAD, 'stream', COUNTERS, 'hash', RUNNING, 'hash' })
if refusal then
  return refusal
end

for i = FIRST_STREAM, #KEYS do
  attempt('XACK', KEYS[i], GROUP, NO_ENTRY)
  attempt('XDEL', KEYS[i], NO_ENTRY)
  attempt('XRANGE', KEYS[i], NO_ENTRY, NO_ENTRY)
end
if call('TYPE', TRIAL).ok == 'none' then
  call('XADD', TRIAL, 'NOMKSTREAM', '*', 'tried', '1')
  call('SET', TRIAL, '', 'XX', 'PX', 1000)
  call('PEXPIRE', TRIAL, 1000)
  call('HGET', TRIAL, 'tried')
  -- Before the one command that makes a key: who may not delete would leave it there.
  call('HDEL', TRIAL, 'tried')
  call('HINCRBY', TRIAL, 'tried', 1)
  call('HDEL', TRIAL, 'tried')
end
return 'able'
