-- CANCEL: end a job that waits, mark one that runs.
--
-- KEYS  1 job   2 result   3 done   4 counters   5 running   6 stream   7... other input streams
-- ARGV  1 group   2 key prefix   3 entry or '' where it is not known   4 tenant or '' for any
--       5 job id   6 result as JSON   7 time to live of job and result in ms
--       8 cap of the done stream   9... the done event: names and values in turn
-- Returns 'cancelled'   it waited and is over
--         'running'     its worker learns of it at the next renewal of its lease
--         'ended'       too late
--         'noted'       no such job is known; should it come within the time to live, it does not run,
--                       unless it is another tenant's
--         'unknown'     there is no such job, or it is another tenant's
--
-- KEYS[6] and ARGV[3] say where the job is in case that nobody has begun it yet.

local JOB, RESULT, DONE, COUNTERS, RUNNING, STREAM = unpack(KEYS)
local GROUP, PREFIX, ENTRY, TENANT, ID = unpack(ARGV, 1, 5)
local TTL_MS = tonumber(ARGV[7])

local refusal = refuse_wrong_types({ JOB, 'hash', DONE, 'stream', COUNTERS, 'hash', RUNNING, 'hash' })
if refusal then
  return refusal
end

local streams = {}
for i = 6, #KEYS do
  streams[suffix_of(KEYS[i], PREFIX)] = true
end

local function take_off(stream, entry)
  call('XACK', stream, GROUP, entry)
  call('XDEL', stream, entry)
  call('HDEL', RUNNING, suffix_of(stream, PREFIX) .. '/' .. entry)
end

-- To end a job that had attempts takes an epoch of its own: the last of them is fenced by it, and
-- whoever reads the events sees epochs that grow. A job that nobody began keeps 0.
local function conclude(stream, entry)
  try_to_end(stream, GROUP, JOB, COUNTERS, RUNNING)
  local epoch = 0
  if call('HGET', JOB, 'epoch') then
    epoch = call('HINCRBY', JOB, 'epoch', 1)
  end
  local event = { unpack(ARGV, 9) }
  event[#event + 1] = 'epoch'
  event[#event + 1] = epoch
  call('XADD', DONE, 'MAXLEN', '~', ARGV[8], '*', unpack(event))
  call('SET', RESULT, (string.gsub(ARGV[6], '"epoch":0', '"epoch":' .. epoch, 1)), 'PX', TTL_MS)
  call('HSET', JOB, 'state', 'cancelled', 'code', 'cancelled', 'finished', integer(now_ms()))
  call('PEXPIRE', JOB, TTL_MS)
  call('HINCRBY', COUNTERS, 'cancelled', 1)
  take_off(stream, entry)
  return 'cancelled'
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

local state, suffix, entry, tenant = unpack(call('HMGET', JOB, 'state', 'stream', 'entry', 'tenant'))
local role, sender, digest = look_up()
local whose = tenant or sender
if TENANT ~= '' and whose and whose ~= TENANT then
  return 'unknown'
end
if role == 'duplicate' or (role and TERMINAL[state]) then
  take_off(STREAM, ENTRY)
  call('HINCRBY', COUNTERS, 'duplicates', 1)
end
if not state then
  if role == 'itself' then
    call('HSET', JOB, 'stream', suffix_of(STREAM, PREFIX), 'entry', ENTRY, 'tenant', whose, 'digest',
      digest)
    return conclude(STREAM, ENTRY)
  end
  -- Without an entry the id is the producer's own, so nothing tells where the job is: it may be on its
  -- way.
  return ENTRY == '' and note() or 'unknown'
elseif TERMINAL[state] then
  return 'ended'
elseif state == 'queued' then
  if role then
    -- The entry that it was is gone, and this one would have taken its place.
    take_off(STREAM, ENTRY)
  end
  return conclude(PREFIX .. 'in:' .. suffix, entry)
end
call('HSET', JOB, 'cancel', '1')
return 'running'
