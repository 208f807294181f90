-- What every script shares. Lua in Redis never rolls back: a script looks at everything that can fail
-- before its first write.

local call = redis.call

local TERMINAL = { done = true, failed = true, dead = true, cancelled = true, expired = true }

-- A call that may meet a missing stream or group, or a key of another type: returns their errors. Any
-- other error ends the script as it would from `call`.
local function attempt(...)
  local reply = redis.pcall(...)
  local message = type(reply) == 'table' and reply.err
  if not message or string.find(message, '^NOGROUP') or string.find(message, '^WRONGTYPE')
    or string.find(message, 'no such key') then
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
    parts[#parts + 1] = #name .. ':' .. name .. #fields[name] .. ':' .. fields[name]
  end
  return redis.sha1hex(table.concat(parts, '\n'))
end

-- Whether a text of lines has this one.
local function includes(lines, line)
  return string.find('\n' .. lines, '\n' .. line .. '\n', 1, true) ~= nil
end

-- From the beginning, never `$`: what was sent before the first worker came is work too.
local function create_group(stream, group)
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end

local function entry_exists(stream, entry)
  return #call('XRANGE', stream, entry, entry) > 0
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
  end
  call('HSET', meta, 'heard', integer(now))
  return now < until_then and now - since or nil
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
  local deliveries = pending[1] and pending[1][4] - forgiven or 0
  call('XCLAIM', stream, group, consumer, 0, entry, 'IDLE', math.max(0, lease_ms + 1 - delay_ms),
    'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
  call('HSET', job, 'state', 'queued')
end

-- Wake idle workers. One entry is enough: they wait for a newer one than they know.
local function ring(bell)
  call('XADD', bell, 'MAXLEN', 1, '*', 'ring', '1')
end
