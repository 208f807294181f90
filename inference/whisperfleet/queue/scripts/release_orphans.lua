-- RELEASE_ORPHANS: hand back what is pending for a consumer without its knowledge, because the reply to
-- a CLAIM was lost, or because it could not say how the job ended.
--
-- KEYS  1 running   2 wakeup   3 counters   4 meta   5... input streams
-- ARGV  1 group   2 consumer   3 key prefix   4 lease in ms   5 ms between renewals
--       6 cap of the releases
--       7 for how many ms a CLAIM has been under way, else 0: what it took may be on its way still
--       8... what the consumer holds, as <suffix>/<entry>
-- Returns how many entries were handed back
--
-- A hand-back counts as a release. Once a job has used those up, each counts as a delivery too, so that
-- the delivery budget ends what no worker can end.

local RUNNING, WAKEUP, COUNTERS, META = unpack(KEYS, 1, 4)
local GROUP, CONSUMER, PREFIX, LEASE_MS, BEAT_MS = unpack(ARGV, 1, 5)
local MAX_RELEASES, CLAIMING_MS = tonumber(ARGV[6]), tonumber(ARGV[7])
local MAX_ENTRIES = 100

local refusal =
  refuse_wrong_types({ RUNNING, 'hash', WAKEUP, 'stream', COUNTERS, 'hash', META, 'hash' })
if refusal then
  return refusal
end

hear(META, 2 * tonumber(BEAT_MS))

local held = {}
for i = 8, #ARGV do
  held[ARGV[i]] = true
end

local function owns(job)
  if wrong_type(job, 'hash') then
    return false
  end
  local state, owner = unpack(call('HMGET', job, 'state', 'owner'))
  return state == 'running' and owner == CONSUMER
end

local function return_to_queue(stream, entry, job)
  local releases = tonumber(call('HGET', job, 'releases') or 0)
  local forgiven = releases < MAX_RELEASES and 1 or 0
  hand_back(stream, GROUP, CONSUMER, entry, job, tonumber(LEASE_MS), 0, forgiven)
  call('HINCRBY', job, 'releases', 1)
  call('HINCRBY', COUNTERS, 'releases', 1)
  remember(job, 'its claim never reached ' .. CONSUMER .. ', or was let go')
end

local handed_back = 0
for i = 5, #KEYS do
  local stream, suffix = KEYS[i], suffix_of(KEYS[i], PREFIX)
  -- What renews a lease: who may not do it learns that here, before a job depends on it.
  attempt('XCLAIM', stream, GROUP, CONSUMER, 0, NO_ENTRY, 'JUSTID')
  local pending = attempt('XPENDING', stream, GROUP, 'IDLE', BEAT_MS + CLAIMING_MS, '-', '+', MAX_ENTRIES,
    CONSUMER)
  for _, facts in ipairs(pending.err and {} or pending) do
    local place = suffix .. '/' .. facts[1]
    local job = PREFIX .. 'job:' .. id_of(RUNNING, suffix, facts[1])
    if not held[place] and owns(job) and entry_exists(stream, facts[1]) then
      return_to_queue(stream, facts[1], job)
      handed_back = handed_back + 1
    end
  end
end
if handed_back > 0 then
  wake(WAKEUP)
end
return handed_back
