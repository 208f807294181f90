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
--    fields, origin}   where `deliveries` counts how often it was begun, this time included if it is
--                run, and `origin` is 'old', 'stray' or 'new'
--     run        the job is the caller's
--     cancelled, exhausted, conflict, malformed, oversize, lost
--                it is the caller's too, and all that is left to do is to settle it; one that is
--                oversize comes without its long fields
--   {'again'}    nothing for the caller came up so far; more may be waiting
--   {'none', entry id, ...}   nothing to do; the last entry that each stream has delivered, '' where
--                the key is no stream
--
-- The job's key is made from the entry's content, so it cannot be among KEYS; it shares their slot.

local COUNTERS, RUNNING, META = KEYS[1], KEYS[2], KEYS[3]
local FIRST_STREAM = 4
local GROUP, CONSUMER, PREFIX = ARGV[1], ARGV[2], ARGV[3]
local LEASE_MS, MAX_DELIVERIES, PATIENCE_MS = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local LOOKS_BACK = ARGV[6] == '1'

-- A call takes no more than so many entries, none when it has read so many bytes of them, and looks
-- into the records of no more than so many pending ones of a stream: Redis serves nobody else meanwhile.
local MAX_TAKEN = 16
local MAX_LOOKED_AT = 128

local taken, read_bytes = 0, 0
local streams = {}
for i = FIRST_STREAM, #KEYS do
  streams[suffix_of(KEYS[i], PREFIX)] = true
end

local function is_spent()
  return taken >= MAX_TAKEN or read_bytes >= MAX_READ_BYTES
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

-- Whether an entry is a running job of its own that somebody keeps: who made the group anew, set it back
-- or acknowledged the entry did not stop the worker. It is pending for that one again.
local function is_kept(stream, entry, job, deliveries)
  local owner, idle = keeper_of(job, LEASE_MS)
  if owner then
    call('XCLAIM', stream, GROUP, owner, 0, entry, 'IDLE', integer(idle), 'RETRYCOUNT', deliveries,
      'FORCE', 'JUSTID')
  end
  return owner
end

-- How often the job was begun, with this time, where the entry did not come by the group's own account
-- of it; nil where somebody keeps it.
local function count_anew(stream, entry, job, is_running, begun, origin)
  local before = is_running and tonumber(begun) or 0
  if is_running and is_kept(stream, entry, job, before) then
    return nil
  end
  if origin == 'stray' or before > 0 then
    call('XCLAIM', stream, GROUP, CONSUMER, 0, entry, 'RETRYCOUNT', before + 1, 'FORCE', 'JUSTID')
  end
  return before + 1
end

-- Make an entry this consumer's running job: an 'old' one that it has claimed from another, `deliveries`
-- times delivered now, a 'stray' one that is pending for nobody, or a 'new' one. Returns the reply, or
-- nil for a duplicate and for what another keeps.
local function begin(stream, entry, flat, origin, deliveries)
  local bytes = bytes_of(flat)
  taken, read_bytes = taken + 1, read_bytes + bytes
  if bytes > MAX_ENTRY_BYTES then
    flat = without_long(flat)
  end
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
    id, verdict, note = id .. '@' .. integer(now_ms()), 'malformed', complaint
    job = PREFIX .. 'job:' .. id
  end
  local state, cancel, releases, retries, owner, home_suffix, home_entry, begun = unpack(call('HMGET',
    job, 'state', 'cancel', 'releases', 'retries', 'owner', 'stream', 'entry', 'deliveries'))
  if state and TERMINAL[state] then
    return drop(stream, entry)
  end
  local is_home = home_suffix == suffix and home_entry == entry
  if origin ~= 'old' then
    deliveries = count_anew(stream, entry, job, is_home and state == 'running', begun, origin)
    if not deliveries then
      return nil
    end
  end
  local now = integer(now_ms())
  if state == 'running' then
    remember(job, 'lost its worker ' .. (owner or ''))
    call('HINCRBY', COUNTERS, 'reclaimed', 1)
  end
  if cancel and not state then
    cancel = accept_cancel(job, tenant)
  end
  if state and not is_home then
    call('XACK', PREFIX .. 'in:' .. home_suffix, GROUP, home_entry)
    call('HDEL', RUNNING, home_suffix .. '/' .. home_entry)
  end
  if verdict == 'run' and cancel then
    verdict = 'cancelled'
  elseif verdict == 'run' and bytes > MAX_ENTRY_BYTES then
    verdict, note = 'oversize', integer(bytes)
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
    tonumber(retries or 0), tonumber(now), note, flat, origin }
end

-- An entry that vanished while somebody held it. Its worker may go on and finish while it renews its lease.
local function lose(stream, entry, deliveries)
  local suffix = suffix_of(stream, PREFIX)
  local id = id_of(RUNNING, suffix, entry)
  local job = PREFIX .. 'job:' .. id
  if wrong_type(job, 'hash') then
    call('XACK', stream, GROUP, entry)
    return nil
  end
  local state, home_suffix, home_entry, releases, retries =
    unpack(call('HMGET', job, 'state', 'stream', 'entry', 'releases', 'retries'))
  if not state or TERMINAL[state] or home_suffix ~= suffix or home_entry ~= entry then
    call('XACK', stream, GROUP, entry)
    call('HDEL', RUNNING, suffix .. '/' .. entry)
    return nil
  end
  if keeper_of(job, LEASE_MS) then
    return nil
  end
  local now = now_ms()
  local epoch = call('HINCRBY', job, 'epoch', 1)
  call('HSET', job, 'state', 'running', 'owner', CONSUMER, 'claimed', integer(now), 'beat', integer(now))
  return { 'lost', stream, entry, id, epoch, deliveries, tonumber(releases or 0),
    tonumber(retries or 0), now, '', {}, 'old' }
end

local function was_released(stream, entry)
  local job = PREFIX .. 'job:' .. id_of(RUNNING, suffix_of(stream, PREFIX), entry)
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
  if #page == MAX_LOOKED_AT and page[#page][1] ~= LAST_ID then
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
    if is_spent() then
      return nil
    elseif not is_free(stream, pending, silent_for) then
      reply = nil
    elseif entry_exists(stream, entry) then
      local claimed = call('XCLAIM', stream, GROUP, CONSUMER, 0, entry)
      reply = begin(stream, entry, claimed[1][2], 'old', deliveries + 1)
    else
      reply = lose(stream, entry, deliveries)
    end
    if reply then
      return reply
    end
  end
end

-- What seems to have been renewed this very millisecond is stamped with it. After the server's clock went
-- back what nobody renews would seem so until the clock was there again; now it lapses in a lease.
local function stamp(stream, pending)
  local entry, owner, idle, deliveries = unpack(pending)
  if idle > 0 then
    return nil
  elseif entry_exists(stream, entry) then
    call('XCLAIM', stream, GROUP, owner, 0, entry, 'JUSTID')
  else
    return lose(stream, entry, deliveries)
  end
end

-- Take what was delivered, is still there and is pending for nobody; a page of the pending ones with each
-- call. No worker leaves that behind, a person does: by XACK, by XGROUP DELCONSUMER or SETID, or by CREATE
-- with `$`. Between two pending entries there is nothing else, so where all is well this reads no payload.
local function take_stray(stream)
  local last = last_delivered(stream, GROUP)
  local mark = 'gap:' .. suffix_of(stream, PREFIX)
  local low = call('HGET', META, mark) or '-'
  local page = attempt('XPENDING', stream, GROUP, low, '+', MAX_LOOKED_AT)
  if page.err or last == '' then
    return nil
  end
  local function search(high)
    while not is_spent() do
      local stray = call('XRANGE', stream, low, high, 'COUNT', 1)[1]
      if not stray then
        return nil
      end
      local reply = begin(stream, stray[1], stray[2], 'stray')
      if reply then
        return reply
      end
      low = '(' .. stray[1]
    end
  end
  local reply
  for _, pending in ipairs(page) do
    reply = search('(' .. pending[1]) or stamp(stream, pending)
    if reply or is_spent() then
      break
    end
    low = '(' .. pending[1]
  end
  -- Past the highest id there is not even a range.
  local is_page = #page == MAX_LOOKED_AT and page[#page][1] ~= LAST_ID
  if is_page then
    call('HSET', META, mark, low)
    return reply
  end
  call('HDEL', META, mark)
  return reply or (low ~= '(' .. LAST_ID and search(last)) or nil
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
  while not is_spent() do
    local delivered = read_new(stream)
    local reply = delivered and begin(stream, delivered[1], delivered[2], 'new')
    if reply or not delivered then
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
if is_spent() then
  return { 'again' }
end

-- Nothing is left undelivered, so the last delivered entry is where to listen from.
local reply = { 'none' }
for i = FIRST_STREAM, #KEYS do
  reply[#reply + 1] = last_delivered(KEYS[i], GROUP)
end
return reply
