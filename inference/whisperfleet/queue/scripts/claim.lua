-- CLAIM: take one job and begin it. BEGIN is part of it because a script more a job costs a third of
-- the throughput.
--
-- KEYS  1 counters   2 running (entry -> job id, for jobs with an id of their own)
--       3 meta   4... input streams in the order to try
-- ARGV  1 group   2 consumer   3 key prefix   4 lease in ms   5 delivery budget
--       6 '1' to look at pending entries first: those that were handed back, and those whose worker
--       fell silent, else '0'   7 patience after an outage in ms
-- Returns
--   {verdict, stream, entry, job id, epoch, deliveries, releases, retries, server time in ms, note,
--    fields}   where `deliveries` counts how often it was begun, this time included if it is run
--     run        the job is the caller's
--     cancelled, exhausted, conflict, malformed, lost
--                it is the caller's too, and all that is left to do is to settle it
--   {'again'}    only duplicates came up; more may be waiting
--   {'none', entry id, ...}   nothing to do; the last entry that each stream has delivered, '' where
--                the key is no stream
--
-- The job's key is made from the entry's content, so it cannot be among KEYS; it shares their slot.

local COUNTERS, RUNNING, META = KEYS[1], KEYS[2], KEYS[3]
local FIRST_STREAM = 4
local GROUP, CONSUMER, PREFIX = ARGV[1], ARGV[2], ARGV[3]
local LEASE_MS, MAX_DELIVERIES, PATIENCE_MS = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local LOOKS_BACK = ARGV[6] == '1'

-- A call takes no more than so many entries, and looks into the records of no more than so many
-- pending ones of a stream: Redis serves nobody else meanwhile.
local MAX_TAKEN = 16
local MAX_LOOKED_AT = 128

local taken = 0
local streams = {}
for i = FIRST_STREAM, #KEYS do
  streams[suffix_of(KEYS[i], PREFIX)] = true
end

local function drop(stream, entry)
  call('XACK', stream, GROUP, entry)
  call('XDEL', stream, entry)
  call('HINCRBY', COUNTERS, 'duplicates', 1)
end

-- A cancel that came before its job: whether one of those who asked for it may. The mark was to fade
-- had the job never come.
local function accept_cancel(job, tenant)
  call('PERSIST', job)
  local cancellers = call('HGET', job, 'cancellers')
  call('HDEL', job, 'cancellers')
  if not cancellers or includes(cancellers, tenant) or includes(cancellers, '') then
    return '1'
  end
  call('HDEL', job, 'cancel')
end

-- The id of the job that an entry was begun as.
local function id_of(suffix, entry)
  return call('HGET', RUNNING, suffix .. '/' .. entry) or (suffix .. '-' .. entry)
end

local function record_of(stream, entry)
  return PREFIX .. 'job:' .. id_of(suffix_of(stream, PREFIX), entry)
end

-- Who renews the lease of the job that an entry was begun as, or nil.
local function keeper_of(stream, entry)
  local job = record_of(stream, entry)
  if wrong_type(job, 'hash') then
    return nil
  end
  local state, owner, beat = unpack(call('HMGET', job, 'state', 'owner', 'beat'))
  return state == 'running' and tonumber(beat or 0) + LEASE_MS > now_ms() and owner or nil
end

-- Make a delivered entry this consumer's running job. Returns the reply, or nil for a duplicate.
local function begin(stream, entry, flat, deliveries)
  taken = taken + 1
  local suffix = suffix_of(stream, PREFIX)
  local fields = fields_of(flat)
  local tenant = tenant_of(suffix, fields)
  local id, digest, verdict, note = identify(PREFIX, suffix, entry, fields, streams)
  if not id then
    return drop(stream, entry)
  end
  local job = PREFIX .. 'job:' .. id
  local complaint = wrong_type(job, 'hash')
  if complaint then
    -- Not even the queue's own id is free. The odd one out is an id that nobody can ask for.
    id, job, verdict, note = id .. '@' .. integer(now_ms()), nil, 'malformed', complaint
    job = PREFIX .. 'job:' .. id
  end
  local state, cancel, releases, retries, owner, home_suffix, home_entry, begun = unpack(call('HMGET',
    job, 'state', 'cancel', 'releases', 'retries', 'owner', 'stream', 'entry', 'deliveries'))
  if state and TERMINAL[state] then
    return drop(stream, entry)
  end
  local now = integer(now_ms())
  if state == 'running' then
    remember(job, 'lost its worker ' .. (owner or ''))
    call('HINCRBY', COUNTERS, 'reclaimed', 1)
  end
  if cancel and not state then
    cancel = accept_cancel(job, tenant)
  end
  if state and (home_suffix ~= suffix or home_entry ~= entry) then
    call('XACK', PREFIX .. 'in:' .. home_suffix, GROUP, home_entry)
    call('HDEL', RUNNING, home_suffix .. '/' .. home_entry)
  end
  if verdict == 'run' and cancel then
    verdict = 'cancelled'
  elseif verdict == 'run' and deliveries > MAX_DELIVERIES then
    verdict, deliveries = 'exhausted', tonumber(begun or deliveries - 1)
  end
  local epoch = call('HINCRBY', job, 'epoch', 1)
  call('HSET', job, 'state', 'running', 'stream', suffix, 'entry', entry, 'owner', CONSUMER,
    'claimed', now, 'beat', now, 'digest', digest, 'tenant', tenant, 'deliveries', deliveries)
  if fields['id'] == id then
    call('HSET', RUNNING, suffix .. '/' .. entry, id)
  end
  return { verdict, stream, entry, id, epoch, deliveries, tonumber(releases or 0),
    tonumber(retries or 0), tonumber(now), note, flat }
end

-- An entry that vanished while somebody held it. Its worker may go on and finish while it beats.
local function lose(stream, entry, deliveries)
  local suffix = suffix_of(stream, PREFIX)
  local id = id_of(suffix, entry)
  local job = PREFIX .. 'job:' .. id
  if wrong_type(job, 'hash') then
    call('XACK', stream, GROUP, entry)
    return nil
  end
  local state, home_suffix, home_entry, beat, releases, retries =
    unpack(call('HMGET', job, 'state', 'stream', 'entry', 'beat', 'releases', 'retries'))
  if not state or TERMINAL[state] or home_suffix ~= suffix or home_entry ~= entry then
    call('XACK', stream, GROUP, entry)
    call('HDEL', RUNNING, suffix .. '/' .. entry)
    return nil
  end
  local now = now_ms()
  if state == 'running' and tonumber(beat or 0) + LEASE_MS > now then
    return nil
  end
  local epoch = call('HINCRBY', job, 'epoch', 1)
  call('HSET', job, 'state', 'running', 'owner', CONSUMER, 'claimed', integer(now), 'beat', integer(now))
  return { 'lost', stream, entry, id, epoch, deliveries, tonumber(releases or 0),
    tonumber(retries or 0), now, '', {} }
end

local function was_released(stream, entry)
  local job = record_of(stream, entry)
  return not wrong_type(job, 'hash') and call('HGET', job, 'state') == 'queued'
end

-- What is pending for longer than a lease, a page of it with each call: those that nothing can be done
-- about yet must not hide the others. All workers turn the pages together.
local function expired_page(stream)
  local mark = 'page:' .. suffix_of(stream, PREFIX)
  local after = call('HGET', META, mark)
  local page = attempt('XPENDING', stream, GROUP, 'IDLE', LEASE_MS, after or '-', '+', MAX_LOOKED_AT)
  if page.err then
    return {}
  end
  if #page == MAX_LOOKED_AT then
    call('HSET', META, mark, '(' .. page[#page][1])
  elseif after then
    call('HDEL', META, mark)
  end
  -- What has brought down fewest workers first: poison must not keep those waiting that it took along.
  for rank, pending in ipairs(page) do
    pending[5] = rank
  end
  table.sort(page, function(a, b)
    return a[4] < b[4] or (a[4] == b[4] and a[5] < b[5])
  end)
  return page
end

-- Whether an entry may be taken from its owner after a silence that began so long ago.
local function is_free(stream, pending, silent_for)
  -- Whose lease had lapsed before is gone: others were heard then.
  return not silent_for or was_released(stream, pending[1])
    or (pending[3] - silent_for > LEASE_MS and entry_exists(stream, pending[1]))
end

local function reclaim(stream, silent_for)
  for _, pending in ipairs(expired_page(stream)) do
    local entry, deliveries = pending[1], pending[4]
    local reply
    if taken >= MAX_TAKEN then
      return nil
    elseif not is_free(stream, pending, silent_for) then
      reply = nil
    elseif entry_exists(stream, entry) then
      local claimed = call('XCLAIM', stream, GROUP, CONSUMER, 0, entry)
      reply = begin(stream, entry, claimed[1][2], deliveries + 1)
    else
      reply = lose(stream, entry, deliveries)
    end
    if reply then
      return reply
    end
  end
end

local function last_delivered(stream)
  local groups = attempt('XINFO', 'GROUPS', stream)
  for _, group in ipairs(groups.err and {} or groups) do
    local facts = fields_of(group)
    if facts['name'] == GROUP then
      return facts['last-delivered-id']
    end
  end
  return ''
end

-- What was delivered, is pending for nobody and still there, as entries of XRANGE; a page of the pending
-- ones with each call. No worker leaves that behind, a person does: by XACK, by XGROUP DELCONSUMER or SETID,
-- or by CREATE with `$`. Between two pending entries there is nothing else, so where all is well a look reads
-- no payload.
local function strays(stream)
  local found, last = {}, last_delivered(stream)
  local mark = 'gap:' .. suffix_of(stream, PREFIX)
  local low = call('HGET', META, mark) or '-'
  local page = attempt('XPENDING', stream, GROUP, low, '+', MAX_LOOKED_AT)
  if page.err or last == '' then
    return found
  end
  local function look(high)
    found[#found + 1] = call('XRANGE', stream, low, high, 'COUNT', 1)[1]
  end
  for _, pending in ipairs(page) do
    look('(' .. pending[1])
    low = '(' .. pending[1]
  end
  -- Past the last there is nothing, and past the highest id there is not even a range.
  local is_all = low == '(' .. last
  if #page == MAX_LOOKED_AT and not is_all then
    call('HSET', META, mark, low)
    return found
  end
  call('HDEL', META, mark)
  if not is_all then
    look(last)
  end
  return found
end

local function take_stray(stream)
  for _, stray in ipairs(strays(stream)) do
    local entry = stray[1]
    -- A worker that keeps the job makes its entry pending again with its next beat.
    if taken < MAX_TAKEN and not keeper_of(stream, entry) then
      local job = record_of(stream, entry)
      local begun = not wrong_type(job, 'hash') and call('HGET', job, 'deliveries') or 0
      call('XCLAIM', stream, GROUP, CONSUMER, 0, entry, 'RETRYCOUNT', begun + 1, 'FORCE', 'JUSTID')
      local reply = begin(stream, entry, stray[2], begun + 1)
      if reply then
        return reply
      end
    end
  end
end

local function read_new(stream)
  local read = { 'XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', 1, 'STREAMS', stream, '>' }
  local reply = attempt(unpack(read))
  if reply and reply.err and string.find(reply.err, '^NOGROUP') then
    create_group(stream, GROUP)
    reply = attempt(unpack(read))
  end
  -- A key of another type is no stream: the others go on, and the end of the reply tells of it.
  if not reply or reply.err then
    return nil
  end
  return reply[1][2][1]
end

local function take_new(stream)
  while taken < MAX_TAKEN do
    local delivered = read_new(stream)
    if not delivered then
      return nil
    end
    local keeper, reply = keeper_of(stream, delivered[1]), nil
    if keeper then
      -- A person made the group anew, or set it back: this is in good hands.
      taken = taken + 1
      call('XCLAIM', stream, GROUP, keeper, 0, delivered[1], 'JUSTID')
    else
      reply = begin(stream, delivered[1], delivered[2], 1)
    end
    if reply then
      return reply
    end
  end
end

local refusal = refuse_wrong_types({ COUNTERS, 'hash', RUNNING, 'hash', META, 'hash' })
if refusal then
  return refusal
end

if LOOKS_BACK then
  -- For those who count what runs, and are told of no lease.
  call('HSET', META, 'lease', integer(LEASE_MS))
end
local silent_for = LOOKS_BACK and hear(META, PATIENCE_MS)
for i = FIRST_STREAM, #KEYS do
  local reply = LOOKS_BACK and reclaim(KEYS[i], silent_for)
  if LOOKS_BACK and not reply and not silent_for then
    reply = take_stray(KEYS[i])
  end
  reply = reply or take_new(KEYS[i])
  if reply then
    return reply
  end
end
if taken >= MAX_TAKEN then
  return { 'again' }
end

-- Nothing is left undelivered, so the last delivered entry is where to listen from.
local reply = { 'none' }
for i = FIRST_STREAM, #KEYS do
  reply[#reply + 1] = last_delivered(KEYS[i])
end
return reply
