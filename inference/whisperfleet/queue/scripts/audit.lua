-- AUDIT: hand back what is pending for a consumer without its knowledge, because the reply to a CLAIM
-- was lost.
--
-- KEYS  1 running   2 bell   3... input streams
-- ARGV  1 group   2 consumer   3 key prefix   4 lease in ms   5 least idle time in ms   6... what the
--       consumer holds, as <suffix>/<entry>
-- Returns how many entries were handed back

local RUNNING, BELL = KEYS[1], KEYS[2]
local GROUP, CONSUMER, PREFIX, LEASE_MS, LEAST_IDLE_MS = unpack(ARGV, 1, 5)
local MAX_ENTRIES = 100

local refusal = refuse_wrong_types({ RUNNING, 'hash', BELL, 'stream' })
if refusal then
  return refusal
end

local held = {}
for i = 6, #ARGV do
  held[ARGV[i]] = true
end

local function owns(job)
  if wrong_type(job, 'hash') then
    return false
  end
  local state, owner = unpack(call('HMGET', job, 'state', 'owner'))
  return state == 'running' and owner == CONSUMER
end

local handed_back = 0
for i = 3, #KEYS do
  local stream, suffix = KEYS[i], string.sub(KEYS[i], #PREFIX + #'in:' + 1)
  local pending = attempt('XPENDING', stream, GROUP, 'IDLE', LEAST_IDLE_MS, '-', '+', MAX_ENTRIES,
    CONSUMER)
  for _, facts in ipairs(pending.err and {} or pending) do
    local place = suffix .. '/' .. facts[1]
    local job = PREFIX .. 'job:' .. (call('HGET', RUNNING, place) or (suffix .. '-' .. facts[1]))
    if not held[place] and owns(job) and entry_exists(stream, facts[1]) then
      hand_back(stream, GROUP, CONSUMER, facts[1], job, tonumber(LEASE_MS), 0)
      remember(job, 'its claim never reached ' .. CONSUMER)
      handed_back = handed_back + 1
    end
  end
end
if handed_back > 0 then
  ring(BELL)
end
return handed_back
