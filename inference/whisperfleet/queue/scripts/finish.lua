-- FINISH: publish how a running job ended, exactly once.
--
-- KEYS  1 stream   2 job   3 result   4 done   5 counters   6 running   7 dead letters   8 usage
-- ARGV  1 group   2 entry   3 epoch   4 state   5 error code or ''   6 result as JSON
--       7 time to live of job and result in ms   8 cap of the done stream   9 cap of the dead letters
--       10 field of the entry in `running`   11 usage, `<figure> <integer> ` in turn   12 class
--       13 tenant or ''   14 length of the done event   15... the done event, then the dead letter: names
--       and values in turn
-- Returns 'published' | 'already' (by this very epoch: the reply was lost) | 'fenced'
--
-- The epoch tells whether the caller still owns the job, for each claim makes a new one. Where a
-- fail-over lost the job's record epochs began anew; then the entry tells.

local ENTRY, EPOCH, FIRST_OF_EVENT = ARGV[2], ARGV[3], 15
local LAST_OF_EVENT = FIRST_OF_EVENT - 1 + tonumber(ARGV[14])
local JOB, DEAD = KEYS[2], KEYS[7]

local known = redis.pcall('HMGET', JOB, 'state', 'epoch', 'entry', 'history')
if known.err then
  return refuse_wrong_types({ JOB, 'hash' }) or known
end
local state, epoch, entry, history = unpack(known)
if epoch ~= EPOCH or entry ~= ENTRY then
  return 'fenced'
end
if TERMINAL[state] then
  return 'already'
end
if state ~= 'running' then
  return 'fenced'
end

local letter
if #ARGV > LAST_OF_EVENT then
  local refusal = refuse_wrong_types({ DEAD, 'stream' })
  if refusal then
    return refusal
  end
  letter = { unpack(ARGV, LAST_OF_EVENT + 1) }
  letter[#letter + 1] = 'history'
  letter[#letter + 1] = history or ''
end
return publish({
  job = JOB,
  result = KEYS[3],
  done = KEYS[4],
  counters = KEYS[5],
  running = KEYS[6],
  dead_letters = DEAD,
  usage = KEYS[8],
}, {
  group = ARGV[1],
  stream = KEYS[1],
  entry = ENTRY,
  place = ARGV[10],
  state = ARGV[4],
  code = ARGV[5],
  result = ARGV[6],
  event = { unpack(ARGV, FIRST_OF_EVENT, LAST_OF_EVENT) },
  letter = letter,
  usage = ARGV[11],
  class = ARGV[12],
  tenant = ARGV[13],
  ttl_ms = ARGV[7],
  done_cap = ARGV[8],
  dead_cap = ARGV[9],
}) or 'published'
