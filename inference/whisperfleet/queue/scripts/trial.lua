-- TRIAL: do nothing, by each command that ends a job, so that a right that is missing, or a server that
-- takes no writes, is known before a job needs it.
--
-- KEYS  1 a key that nothing else uses   2... input streams
-- ARGV  1 group
-- Returns 'able'; what is in the way comes as Redis's own error

local TRIAL, GROUP = KEYS[1], ARGV[1]
-- An id that no entry can have.
local NO_ENTRY = '0-0'

for i = 2, #KEYS do
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
