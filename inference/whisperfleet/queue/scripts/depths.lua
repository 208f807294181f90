-- DEPTHS: how much of each stream waits and how much runs, without moving what is in it.
--
-- KEYS  1 meta   2 running (entry -> job id, for jobs with an id of their own)   3... streams
-- ARGV  1 group   2 key prefix   3 lease in ms where no worker has told its own
--       4 how many pending entries of each stream to look at
--       5... after which of them to go on, for each stream: '-' at first
-- Returns for each stream {length, running, where to go on, id of the oldest entry that waits}. `running`
--   are those of this page, and -1 stands for a group that is not there. The texts are '' where nothing is
--   left to look at and where nothing waits.
--
-- What was handed back is pending too, and so is what a worker held that is gone: both wait.

local META, RUNNING, FIRST_STREAM = KEYS[1], KEYS[2], 3
local GROUP, PREFIX, LIMIT, FIRST_START = ARGV[1], ARGV[2], tonumber(ARGV[4]), 5

local expectations = { META, 'hash', RUNNING, 'hash' }
for i = FIRST_STREAM, #KEYS do
  expectations[#expectations + 1] = KEYS[i]
  expectations[#expectations + 1] = 'stream'
end
local refusal = refuse_wrong_types(expectations)
if refusal then
  return refusal
end

local LEASE_MS = tonumber(call('HGET', META, 'lease') or ARGV[3])
-- Of those that wait, so many are asked for whether their entry is still there.
local MAX_LOOKED_FOR = 16

local function first(stream, from, to)
  local entry = call('XRANGE', stream, from, to, 'COUNT', 1)[1]
  return entry and entry[1]
end

-- A job that waits for the delay of a retry is pending for less than a lease.
local function runs(stream, pending)
  if pending[3] >= LEASE_MS then
    return false
  end
  local id = id_of(RUNNING, suffix_of(stream, PREFIX), pending[1])
  return attempt('HGET', PREFIX .. 'job:' .. id, 'state') ~= 'queued'
end

local function depth(stream, start)
  local length = call('XLEN', stream)
  local page = attempt('XPENDING', stream, GROUP, start, '+', LIMIT)
  if page.err then
    return { length, -1, '', first(stream, '-', '+') or '' }
  end
  local running, oldest, looked_for = 0, nil, 0
  for _, pending in ipairs(page) do
    if runs(stream, pending) then
      running = running + 1
    elseif not oldest and looked_for < MAX_LOOKED_FOR then
      looked_for = looked_for + 1
      oldest = entry_exists(stream, pending[1]) and pending[1]
    end
  end
  -- Past the highest id there is not even a range.
  local after = #page == LIMIT and page[#page][1] ~= LAST_ID and '(' .. page[#page][1] or ''
  -- What no worker has been given is younger than all that was delivered.
  local last = last_delivered(stream, GROUP)
  oldest = oldest or (after == '' and last ~= LAST_ID and first(stream, '(' .. last, '+'))
  return { length, running, after, oldest or '' }
end

local depths = {}
for i = FIRST_STREAM, #KEYS do
  depths[#depths + 1] = depth(KEYS[i], ARGV[FIRST_START + i - FIRST_STREAM])
end
return depths
