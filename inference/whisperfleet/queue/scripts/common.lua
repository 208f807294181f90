-- What every script shares. Lua in Redis never rolls back: a script looks at everything that can fail
-- before its first write.

local call = redis.call

-- The group by which scripts ask whether an entry exists.
local LOOKS = 'looks'
local LAST_ID = '18446744073709551615-18446744073709551615'
-- An id that no entry can have.
local NO_ENTRY = '0-0'

-- More than any field but `audio` may have, and than all of them together.
local LONG_BYTES = 16384
local PAGE_BYTES = 4 * LONG_BYTES

-- A call reads no entry more when it has read so many bytes of them: each MiB takes Redis a millisecond
-- or two, in which it serves nobody else.
local MAX_READ_BYTES = 524288

-- So many dead letters are dropped by one command; less than Redis keeps together would be none.
local MAX_TRIMMED = 100

-- An entry can name any tenant, and a hash that grows for ever ends in refused XADDs: from so many on new
-- ones are summed together, one for each class.
local MAX_TENANTS = 2000
local OTHERS = '*'

local TERMINAL = { done = true, failed = true, dead = true, cancelled = true, expired = true }

-- A call that may meet a missing stream or group, or a key of another type: returns their errors. Any
-- other error ends the script as it would from `call`.
local function attempt(...)
  local reply = redis.pcall(...)
  local message = type(reply) == 'table' and reply.err
  if not message or string.find(message, '^NOGROUP') or string.find(message, '^WRONGTYPE')
    or string.find(message, 'no such key') or string.find(message, 'requires the key to exist') then
    return reply
  end
  return call(...)
end

-- The server's clock in Unix milliseconds: the only clock that decides anything.
local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function integer(number)
  return string.format('%.0f', number)
end

-- A sentence if `key` holds something else than `expected`, else nil.
local function wrong_type(key, expected)
  local actual = call('TYPE', key).ok
  if actual ~= 'none' and actual ~= expected then
    return 'the key ' .. key .. ' holds a ' .. actual .. ' where a ' .. expected
      .. ' belongs; move or delete it'
  end
end

-- The first complaint over `{key, type, key, type, ...}` as an error reply, else nil.
local function refuse_wrong_types(expectations)
  for i = 1, #expectations, 2 do
    local complaint = wrong_type(expectations[i], expectations[i + 1])
    if complaint then
      return redis.error_reply('WRONGKEY ' .. complaint)
    end
  end
end

-- The bytes of an entry's names and values in turn.
local function bytes_of(flat)
  local bytes = 0
  for _, part in ipairs(flat) do
    bytes = bytes + #part
  end
  return bytes
end

-- Names and values in turn without what is long, as audio is, nor more than a page of the rest; and what
-- was left out, as names and lengths in turn.
local function without_long(flat)
  local short, left_out, kept = {}, {}, 0
  for i = 1, #flat, 2 do
    local name, value = flat[i], flat[i + 1]
    local bytes = #name + #value
    if bytes <= LONG_BYTES and kept + bytes <= PAGE_BYTES then
      kept = kept + bytes
      short[#short + 1] = name
      short[#short + 1] = value
    else
      left_out[#left_out + 1] = string.sub(name, 1, LONG_BYTES)
      left_out[#left_out + 1] = #value
    end
  end
  return short, left_out
end

-- Names and values in turn, as a table by name.
local function fields_of(flat)
  local fields = {}
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return fields
end

-- Whether a producer's `id` can name a job; one that cannot is left to the worker to refuse.
local function is_id(value)
  return value and #value <= 128 and string.find(value, '^%w[%w._:@-]*$') ~= nil
end

-- `normal` or `normal:<tenant>`: the stream's part of an id.
local function suffix_of(stream, prefix)
  return string.sub(stream, #prefix + #'in:' + 1)
end

-- Whose an entry is: the owner's of its stream, or who it names; '' for nobody's.
local function tenant_of(suffix, fields)
  return string.match(suffix, ':(.*)$') or fields['tenant'] or ''
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
    parts[#parts + 1] = '\n' .. #name .. ':' .. name .. #fields[name] .. ':'
    -- By itself, for to join strings is to copy them.
    parts[#parts + 1] = fields[name]
  end
  return redis.sha1hex(table.concat(parts))
end

-- Whether a text of lines has this one.
local function includes(lines, line)
  return string.find('\n' .. lines, '\n' .. line .. '\n', 1, true) ~= nil
end

-- From the beginning, never `$`: what was sent before the first worker came is work too.
local function create_group(stream, group)
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end

-- Whether an entry is there, without reading it: it may hold a file. XCLAIM tells that, also of an entry
-- that is pending for nobody, but what is gone it drops from the group that it is asked by. So there is
-- a group for this alone, from which nobody reads.
local function entry_exists(stream, entry)
  local look = { 'XCLAIM', stream, LOOKS, LOOKS, 0, entry, 'FORCE', 'JUSTID' }
  local found = attempt(unpack(look))
  if found.err and string.find(found.err, '^NOGROUP') then
    local made = attempt('XGROUP', 'CREATE', stream, LOOKS, LAST_ID)
    found = made.err and {} or call(unpack(look))
  end
  if #found == 0 then
    return false
  end
  call('XACK', stream, LOOKS, entry)
  return true
end

-- Ids of the form <stream>-<entry id> are the queue's own: nobody may take the id of another's job.
-- `streams` has the suffixes that the caller knows of, whether there is such a key yet or not.
local function is_reserved(id, prefix, streams)
  local suffix = string.match(id, '^(.+)%-%d+%-%d+$')
  return suffix and (streams[suffix] or call('TYPE', prefix .. 'in:' .. suffix).ok == 'stream')
end

-- Which job an entry is: its id, the digest of its payload ('' where the id is the queue's own), and a
-- verdict with a note where it cannot be run as what it says. No id: it is a duplicate.
local function identify(prefix, suffix, entry, fields, streams)
  local derived = suffix .. '-' .. entry
  local own = fields['id']
  if not is_id(own) then
    return derived, '', 'run', ''
  end
  local job = prefix .. 'job:' .. own
  local complaint = wrong_type(job, 'hash')
  if complaint then
    return derived, '', 'malformed', complaint
  end
  local state, home_suffix, home_entry, known =
    unpack(call('HMGET', job, 'state', 'stream', 'entry', 'digest'))
  local digest = digest_of(fields, tenant_of(suffix, fields))
  if home_suffix == suffix and home_entry == entry then
    return own, known or digest, 'run', ''
  end
  if is_reserved(own, prefix, streams) then
    return derived, '', 'conflict', own
  end
  if not state then
    return own, digest, 'run', ''
  end
  if known ~= digest then
    return derived, '', 'conflict', own
  end
  if TERMINAL[state] or entry_exists(prefix .. 'in:' .. home_suffix, home_entry) then
    return nil
  end
  -- The entry that the job began as is gone (a fail-over lost it): this one takes its place.
  return own, digest, 'run', ''
end

-- The id of the job that an entry was begun as.
local function id_of(running, suffix, entry)
  return call('HGET', running, suffix .. '/' .. entry) or (suffix .. '-' .. entry)
end

-- The last entry that a group has been given; '' where there is no such group or stream.
local function last_delivered(stream, group)
  local groups = attempt('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local facts = fields_of(flat)
    if facts['name'] == group then
      return facts['last-delivered-id']
    end
  end
  return ''
end

-- Who renews the lease of a running job, and how many ms ago it was; or nil. A renewal in the future was
-- before the server's clock went back: from now on its worker has a lease to be heard again.
local function keeper_of(job, lease_ms)
  if wrong_type(job, 'hash') then
    return nil
  end
  local state, owner, beat = unpack(call('HMGET', job, 'state', 'owner', 'beat'))
  if state ~= 'running' then
    return nil
  end
  local idle = now_ms() - tonumber(beat or 0)
  if idle < 0 then
    idle = 0
    call('HSET', job, 'beat', integer(now_ms()))
  end
  if idle < lease_ms then
    return owner, idle
  end
end

-- Note that a worker is heard. For so long after a time in which nobody was, return how long ago that
-- time began, in ms: a lease that lapsed since may be its owner's still, who could not renew it,
-- whether the server was down, out of reach, stopped or read-only.
local function hear(meta, patience_ms)
  local now = now_ms()
  local heard, since, until_then = unpack(call('HMGET', meta, 'heard', 'silent_since', 'patient_until'))
  heard, until_then = tonumber(heard or now), tonumber(until_then or 0)
  -- A busy machine may hold up everybody for a second without being an outage.
  if now - heard > math.max(patience_ms, 1000) then
    since = until_then > heard and since or integer(heard)
    until_then = now + patience_ms
    call('HSET', meta, 'silent_since', since, 'patient_until', integer(until_then))
  elseif until_then > now + patience_ms then
    -- The server's clock went back.
    since, until_then = integer(now), now + patience_ms
    call('HSET', meta, 'silent_since', since, 'patient_until', integer(until_then))
  end
  call('HSET', meta, 'heard', integer(now))
  return now < until_then and math.max(0, now - since) or nil
end

-- Keep one line of a job's history, newest last; only what is out of the ordinary is worth a line.
local function remember(job, line)
  local history = (call('HGET', job, 'history') or '') .. integer(now_ms()) .. ' ' .. line .. '\n'
  call('HSET', job, 'history', string.sub(history, -4096))
end

-- Return an entry to the queue, claimable `delay_ms` from now, as if this delivery had not happened
-- where `forgiven` is 1. An idle time over the lease is what a reclaim looks for; the rest of it is
-- the delay.
local function hand_back(stream, group, consumer, entry, job, lease_ms, delay_ms, forgiven)
  local pending = attempt('XPENDING', stream, group, entry, entry, 1)
  if pending.err then
    create_group(stream, group)
    pending = {}
  end
  -- It is pending for nobody where a person acknowledged it.
  local begun = pending[1] and pending[1][4] or tonumber(call('HGET', job, 'deliveries') or 1)
  call('XCLAIM', stream, group, consumer, 0, entry, 'IDLE', math.max(0, lease_ms + 1 - delay_ms),
    'RETRYCOUNT', math.max(0, begun - forgiven), 'FORCE', 'JUSTID')
  call('HSET', job, 'state', 'queued')
end

-- Wake idle workers. One entry is enough: they wait for a newer one than they know.
local function wake(wakeup)
  call('XADD', wakeup, 'MAXLEN', 1, '*', 'ring', '1')
end

-- Add what a job used to the sums of its class and tenant. `usage` is `<figure> <integer> ` in turn. Sums
-- are no reason to keep a job from ending: what holds something else than a number that can grow stays as
-- it is.
local function add_usage(sums, class, tenant, usage)
  local prefix = class .. '/' .. tenant .. '/'
  local jobs = redis.pcall('HINCRBY', sums, prefix .. 'jobs', 1)
  if jobs == 1 and tenant ~= OTHERS then
    local tenants = redis.pcall('HINCRBY', sums, 'tenants', 1)
    if type(tenants) == 'number' and tenants > MAX_TENANTS then
      call('HINCRBY', sums, 'tenants', -1)
      call('HDEL', sums, prefix .. 'jobs')
      return add_usage(sums, class, OTHERS, usage)
    end
  end
  for figure, amount in string.gmatch(usage, '(%S+) (%d+)') do
    redis.pcall('HINCRBY', sums, prefix .. figure, amount)
  end
end

-- Send the done event, after doing nothing by each other command that ends a job. Redis takes nothing back
-- where it stops a script half-way, as for an account that lost the right to a command or a key that holds
-- something else. What makes a repetition say that all is done comes after this.
local function announce(keys, stream, group, state, done_cap, event)
  call('HINCRBY', keys.counters, state, 0)
  call('SET', keys.counters, '', 'NX')
  call('PEXPIRE', keys.counters, 1, 'XX')
  call('HSET', keys.job, 'code', '')
  call('HDEL', keys.running, '')
  call('XACK', stream, group, NO_ENTRY)
  call('XDEL', stream, NO_ENTRY)
  return call('XADD', keys.done, 'MAXLEN', '~', done_cap, '*', unpack(event))
end

-- Take an entry off its stream, for its job is over.
local function take_off(keys, stream, group, entry, place)
  call('XACK', stream, group, entry)
  call('XDEL', stream, entry)
  call('HDEL', keys.running, place)
end

-- Publish how a job ends, and take its entry off its stream: whatever ends a job, it ends here. The caller
-- has made sure by the job's epoch that it ends once.
--
-- `keys` has job, result, done, counters, running, usage and, where there is a letter, dead_letters.
-- `ending` has group, stream, entry, place (the entry's field in `running`), state, code, result (JSON),
-- event and perhaps letter (names and values in turn), usage, class, tenant, ttl_ms of job and result,
-- done_cap and dead_cap. Returns an error reply, with nothing written, or nil; raises other errors.
local function publish(keys, ending)
  local is_able, event_id = pcall(announce, keys, ending.stream, ending.group, ending.state, ending.done_cap,
    ending.event)
  if not is_able then
    local refusal = refuse_wrong_types({
      ending.stream, 'stream', keys.job, 'hash', keys.done, 'stream', keys.counters, 'hash',
      keys.running, 'hash',
    })
    return refusal or error(event_id, 0)
  end
  call('SET', keys.result, ending.result, 'PX', ending.ttl_ms)
  call('HSET', keys.job, 'state', ending.state, 'code', ending.code, 'finished',
    string.match(event_id, '^%d+'))
  call('PEXPIRE', keys.job, ending.ttl_ms)
  if ending.letter then
    -- A cap that was lowered is reached bit by bit: to free many large letters takes Redis long.
    local letter = call('XADD', keys.dead_letters, 'MAXLEN', '~', ending.dead_cap, 'LIMIT', MAX_TRIMMED,
      '*', unpack(ending.letter))
    call('HSET', keys.job, 'letter', letter)
  end
  call('HINCRBY', keys.counters, ending.state, 1)
  add_usage(keys.usage, ending.class, ending.tenant or '', ending.usage)
  take_off(keys, ending.stream, ending.group, ending.entry, ending.place)
end
