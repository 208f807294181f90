-- CLAIM: take one job and begin it. BEGIN is part of it because a script more a job costs a third of
-- the throughput.
--
-- KEYS  1 counters   2 running (entry -> job id, for jobs with an id of their own)
--       3... input streams in the order to try
-- ARGV  1 group   2 consumer   3 key prefix   4 lease in ms   5 delivery budget
--       6 which pending entries to look at first: 'none' | 'released' (by a worker that handed them
--       back) | 'expired' (those too whose worker fell silent)
-- Returns
--   {verdict, stream, entry, job id, epoch, deliveries, releases, retries, server time in ms, note,
--    fields}
--     run        the job is the caller's
--     cancelled, exhausted, conflict, malformed, lost
--                it is the caller's too, and all that is left to do is to settle it
--   {'again'}    only duplicates came up; more may be waiting
--   {'none', entry id, ...}   nothing to do; the last entry that each stream has delivered, '' where
--                the key is no stream
--
-- The job's key is made from the entry's content, so it cannot be among KEYS; it shares their slot.

local COUNTERS, RUNNING = KEYS[1], KEYS[2]
local GROUP, CONSUMER, PREFIX = ARGV[1], ARGV[2], ARGV[3]
local LEASE_MS, MAX_DELIVERIES, RECLAIM = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

-- A call looks at no more than so many entries: Redis serves nobody else meanwhile.
local MAX_LOOKED_AT = 16

local looked_at = 0

-- `normal` or `normal:<tenant>`: the stream's part of an id.
local function suffix_of(stream)
  return string.sub(stream, #PREFIX + #'in:' + 1)
end

-- Ids of the form <stream>-<entry id> are the queue's own: nobody may take the id of another's job.
local function is_reserved(id)
  for i = 3, #KEYS do
    local suffix = suffix_of(KEYS[i]) .. '-'
    if string.sub(id, 1, #suffix) == suffix and string.find(id, '^%d+%-%d+$', #suffix + 1) then
      return true
    end
  end
  return false
end

-- What makes two entries the same job: every field but those that differ between two sendings.
local function digest_of(fields, tenant)
  local names = {}
  for name in pairs(fields) do
    if name ~= 'v' and name ~= 'traceparent' and name ~= 'redriven' and name ~= 'tenant' then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  local parts = { tenant }
  for _, name in ipairs(names) do
    parts[#parts + 1] = #name .. ':' .. name .. #fields[name] .. ':' .. fields[name]
  end
  return redis.sha1hex(table.concat(parts, '\n'))
end

local function drop(stream, entry)
  call('XACK', stream, GROUP, entry)
  call('XDEL', stream, entry)
  call('HINCRBY', COUNTERS, 'duplicates', 1)
end

-- Which job an entry is: its id, the digest of its payload ('' where the id is the queue's own), and a
-- verdict with a note where it cannot be run as what it says.
local function identify(stream, entry, fields, tenant)
  local suffix = suffix_of(stream)
  local derived = suffix .. '-' .. entry
  local own = fields['id']
  if not is_id(own) then
    return derived, '', 'run', ''
  end
  local job = PREFIX .. 'job:' .. own
  local complaint = wrong_type(job, 'hash')
  if complaint then
    return derived, '', 'malformed', complaint
  end
  local state, home_suffix, home_entry, known =
    unpack(call('HMGET', job, 'state', 'stream', 'entry', 'digest'))
  local digest = digest_of(fields, tenant)
  if home_suffix == suffix and home_entry == entry then
    return own, known or digest, 'run', ''
  end
  if is_reserved(own) then
    return derived, '', 'conflict', own
  end
  if not state then
    return own, digest, 'run', ''
  end
  if known ~= digest then
    return derived, '', 'conflict', own
  end
  if TERMINAL[state] or entry_exists(PREFIX .. 'in:' .. home_suffix, home_entry) then
    return nil
  end
  -- The entry that the job began as is gone (a fail-over lost it): this one takes its place.
  return own, digest, 'run', ''
end

-- Make a delivered entry this consumer's running job. Returns the reply, or nil for a duplicate.
local function begin(stream, entry, flat, deliveries)
  local suffix = suffix_of(stream)
  local fields = fields_of(flat)
  local tenant = string.match(suffix, ':(.*)$') or fields['tenant'] or ''
  local id, digest, verdict, note = identify(stream, entry, fields, tenant)
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
  local state, cancel, releases, retries, owner, home_suffix, home_entry = unpack(
    call('HMGET', job, 'state', 'cancel', 'releases', 'retries', 'owner', 'stream', 'entry'))
  if state and TERMINAL[state] then
    return drop(stream, entry)
  end
  local now = integer(now_ms())
  if state == 'running' then
    remember(job, 'lost its worker ' .. (owner or ''))
    call('HINCRBY', COUNTERS, 'reclaimed', 1)
  end
  if cancel and not state then
    -- A cancel that came before the job; its mark was to fade had the job never come.
    call('PERSIST', job)
  end
  if state and (home_suffix ~= suffix or home_entry ~= entry) then
    call('XACK', PREFIX .. 'in:' .. home_suffix, GROUP, home_entry)
    call('HDEL', RUNNING, home_suffix .. '/' .. home_entry)
  end
  local epoch = call('HINCRBY', job, 'epoch', 1)
  call('HSET', job, 'state', 'running', 'stream', suffix, 'entry', entry, 'owner', CONSUMER,
    'claimed', now, 'beat', now, 'digest', digest, 'tenant', tenant, 'deliveries', deliveries)
  if fields['id'] == id then
    call('HSET', RUNNING, suffix .. '/' .. entry, id)
  end
  if verdict == 'run' and cancel then
    verdict = 'cancelled'
  elseif verdict == 'run' and deliveries > MAX_DELIVERIES then
    verdict = 'exhausted'
  end
  return { verdict, stream, entry, id, epoch, deliveries, tonumber(releases or 0),
    tonumber(retries or 0), tonumber(now), note, flat }
end

-- An entry that vanished while somebody held it. Its worker may go on and finish while it beats.
local function lose(stream, entry, deliveries)
  local suffix = suffix_of(stream)
  local id = call('HGET', RUNNING, suffix .. '/' .. entry) or (suffix .. '-' .. entry)
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
  local place = suffix_of(stream) .. '/' .. entry
  local job = PREFIX .. 'job:' .. (call('HGET', RUNNING, place) or (suffix_of(stream) .. '-' .. entry))
  return not wrong_type(job, 'hash') and call('HGET', job, 'state') == 'queued'
end

local function reclaim(stream)
  local expired = attempt('XPENDING', stream, GROUP, 'IDLE', LEASE_MS, '-', '+', MAX_LOOKED_AT)
  if expired.err then
    return nil
  end
  -- What has brought down fewest workers first: poison must not keep those waiting that it took along.
  for rank, pending in ipairs(expired) do
    pending[5] = rank
  end
  table.sort(expired, function(a, b)
    return a[4] < b[4] or (a[4] == b[4] and a[5] < b[5])
  end)
  for _, pending in ipairs(expired) do
    local entry, deliveries = pending[1], pending[4]
    looked_at = looked_at + 1
    local reply
    if RECLAIM == 'released' and not was_released(stream, entry) then
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
  while looked_at < MAX_LOOKED_AT do
    local delivered = read_new(stream)
    if not delivered then
      return nil
    end
    looked_at = looked_at + 1
    local reply = begin(stream, delivered[1], delivered[2], 1)
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

local refusal = refuse_wrong_types({ COUNTERS, 'hash', RUNNING, 'hash' })
if refusal then
  return refusal
end

for i = 3, #KEYS do
  local reply = (RECLAIM ~= 'none' and reclaim(KEYS[i])) or take_new(KEYS[i])
  if reply then
    return reply
  end
end
if looked_at >= MAX_LOOKED_AT then
  return { 'again' }
end

-- Nothing is left undelivered, so the last delivered entry is where to listen from.
local reply = { 'none' }
for i = 3, #KEYS do
  reply[#reply + 1] = last_delivered(KEYS[i])
end
return reply
