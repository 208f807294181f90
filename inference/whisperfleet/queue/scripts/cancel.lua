-- CANCEL: end a job that waits, mark one that runs.
--
-- KEYS  1 job   2 result   3 done   4 counters   5 running   6 stream   7... other input streams
-- ARGV  1 group   2 key prefix   3 entry or '' where it is not known   4 tenant or '' for any
--       5 job id   6 result as JSON   7 time to live of job and result in ms
--       8 cap of the done stream   9 the epoch that the result and the event say
--       10... the done event: names and values in turn
-- Returns 'cancelled'   it waited and is over
--         'running'     its worker learns of it at the next renewal of its lease
--         'ended'       too late
--         'noted'       no such job is known; should it come within the time to live, it does not run,
--                       unless it is another tenant's
--         'unknown'     there is no such job, or it is another tenant's
--         a number      nothing changed: it waits, and ends with this epoch; ask again with it
--
-- KEYS[6] and ARGV[3] say where the job is in case that nobody has begun it yet.

local JOB, RESULT, DONE, COUNTERS, RUNNING, STREAM = unpack(KEYS)
local GROUP, PREFIX, ENTRY, TENANT, ID = unpack(ARGV, 1, 5)
local TTL_MS, EPOCH, FIRST_OF_EVENT = ARGV[7], tonumber(ARGV[9]), 10
local ALL = {
  job = JOB,
  result = RESULT,
  done = DONE,
  counters = COUNTERS,
  running = RUNNING,
  usage = PREFIX .. 'usage',
}

local refusal = refuse_wrong_types({ JOB, 'hash', DONE, 'stream', COUNTERS, 'hash', RUNNING, 'hash' })
if refusal then
  return refusal
end

local streams = {}
for i = 6, #KEYS do
  streams[suffix_of(KEYS[i], PREFIX)] = true
end

local function leave(stream, entry)
  take_off(ALL, stream, GROUP, entry, suffix_of(stream, PREFIX) .. '/' .. entry)
end

-- To end a job that had attempts takes an epoch of its own: the last of them is fenced by it, and
-- whoever reads the events sees epochs that grow. A job that nobody began keeps 0.
local function conclude(suffix, entry, tenant)
  local refusal = publish(ALL, {
    group = GROUP,
    stream = PREFIX .. 'in:' .. suffix,
    entry = entry,
    place = suffix .. '/' .. entry,
    state = 'cancelled',
    code = 'cancelled',
    result = ARGV[6],
    event = { unpack(ARGV, FIRST_OF_EVENT) },
    usage = EPOCH > 1 and 'attempts ' .. EPOCH - 1 or '',
    class = string.match(suffix, '^[^:]*'),
    tenant = tenant,
    ttl_ms = TTL_MS,
    done_cap = ARGV[8],
  })
  if not refusal and EPOCH > 0 then
    call('HSET', JOB, 'epoch', EPOCH)
  end
  return refusal or 'cancelled'
end

-- What the entry is to the job in question: the job itself, or 'duplicate', else nil. With it whose.
local function look_up()
  if ENTRY == '' or wrong_type(STREAM, 'stream') then
    return nil
  end
  local found = call('XRANGE', STREAM, ENTRY, ENTRY)[1]
  if not found then
    return nil
  end
  local flat, suffix = found[2], suffix_of(STREAM, PREFIX)
  local fields = fields_of(bytes_of(flat) > MAX_ENTRY_BYTES and without_long(flat) or flat)
  local id, digest = identify(PREFIX, suffix, ENTRY, fields, streams)
  local tenant = tenant_of(suffix, fields)
  if id == ID then
    return 'itself', tenant, digest
  elseif not id and fields['id'] == ID then
    return 'duplicate', tenant
  end
end

local function note()
  local cancellers = call('HGET', JOB, 'cancellers') or ''
  if not includes(cancellers, TENANT) then
    call('HSET', JOB, 'cancellers', cancellers .. TENANT .. '\n')
  end
  call('HSET', JOB, 'cancel', '1')
  call('PEXPIRE', JOB, TTL_MS)
  return 'noted'
end

local state, suffix, entry, tenant, epoch =
  unpack(call('HMGET', JOB, 'state', 'stream', 'entry', 'tenant', 'epoch'))
local role, sender, digest = look_up()
local whose = tenant or sender
if TENANT ~= '' and whose and whose ~= TENANT then
  return 'unknown'
end
local waits = state == 'queued' or (not state and role == 'itself')
local next_epoch = epoch and epoch + 1 or 0
if waits and EPOCH ~= next_epoch then
  return next_epoch
end
if role == 'duplicate' or (role and TERMINAL[state]) then
  leave(STREAM, ENTRY)
  call('HINCRBY', COUNTERS, 'duplicates', 1)
end
if not state then
  if role == 'itself' then
    call('HSET', JOB, 'stream', suffix_of(STREAM, PREFIX), 'entry', ENTRY, 'tenant', whose, 'digest',
      digest)
    return conclude(suffix_of(STREAM, PREFIX), ENTRY, whose)
  end
  -- Without an entry the id is the producer's own, so nothing tells where the job is: it may be on its
  -- way.
  return ENTRY == '' and note() or 'unknown'
elseif TERMINAL[state] then
  return 'ended'
elseif state == 'queued' then
  if role then
    -- The entry that it was is gone, and this one would have taken its place.
    leave(STREAM, ENTRY)
  end
  return conclude(suffix, entry, tenant)
end
call('HSET', JOB, 'cancel', '1')
return 'running'
