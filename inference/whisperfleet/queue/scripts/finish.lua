-- FINISH: publish how a job ended, exactly once, and take its entry off the stream.
--
-- KEYS  1 stream   2 job   3 result   4 done   5 counters   6 running   7 dead letters
-- ARGV  1 group   2 entry   3 epoch   4 state   5 error code or ''   6 result as JSON
--       7 time to live of job and result in ms   8 cap of the done stream   9 cap of the dead letters
--       10 field of the entry in `running`   11 length of the done event   12... the done event, then
--       the dead letter: names and values in turn
-- Returns 'published' | 'already' (by this very epoch: the reply was lost) | 'fenced'
--
-- The epoch tells whether the caller still owns the job, for each claim makes a new one. Where a
-- fail-over lost the job's record epochs began anew; then the entry tells.

local STREAM, JOB, RESULT, DONE, COUNTERS, RUNNING, DEAD = unpack(KEYS)
local GROUP, ENTRY, EPOCH, STATE, CODE = unpack(ARGV, 1, 5)
local TTL_MS, LAST_OF_EVENT = tonumber(ARGV[7]), 11 + tonumber(ARGV[11])

local refusal = refuse_wrong_types({
  STREAM, 'stream', JOB, 'hash', DONE, 'stream', COUNTERS, 'hash', RUNNING, 'hash', DEAD, 'stream',
})
if refusal then
  return refusal
end

local state, epoch, entry, history = unpack(call('HMGET', JOB, 'state', 'epoch', 'entry', 'history'))
if epoch ~= EPOCH or entry ~= ENTRY then
  return 'fenced'
end
if state and TERMINAL[state] then
  return 'already'
end
if state ~= 'running' then
  return 'fenced'
end

try_to_end(STREAM, GROUP, JOB, COUNTERS, RUNNING)
call('XADD', DONE, 'MAXLEN', '~', ARGV[8], '*', unpack(ARGV, 12, LAST_OF_EVENT))
call('SET', RESULT, ARGV[6], 'PX', TTL_MS)
call('HSET', JOB, 'state', STATE, 'code', CODE, 'finished', integer(now_ms()))
call('PEXPIRE', JOB, TTL_MS)
if #ARGV > LAST_OF_EVENT then
  local letter = { unpack(ARGV, LAST_OF_EVENT + 1) }
  letter[#letter + 1] = 'history'
  letter[#letter + 1] = history or ''
  -- A cap that was lowered is reached bit by bit: to free many large letters takes Redis long.
  local sent = call('XADD', DEAD, 'MAXLEN', '~', ARGV[9], 'LIMIT', MAX_TRIMMED, '*', unpack(letter))
  call('HSET', JOB, 'letter', sent)
end
call('HINCRBY', COUNTERS, STATE, 1)
call('XACK', STREAM, GROUP, ENTRY)
call('XDEL', STREAM, ENTRY)
call('HDEL', RUNNING, ARGV[10])
return 'published'
