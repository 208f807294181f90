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

-- From the beginning, never `$`: what was sent before the first worker came is work too.
local function create_group(stream, group)
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
end

local function entry_exists(stream, entry)
  return #call('XRANGE', stream, entry, entry) > 0
end

-- Keep one line of a job's history, newest last; only what is out of the ordinary is worth a line.
local function remember(job, line)
  local history = (call('HGET', job, 'history') or '') .. integer(now_ms()) .. ' ' .. line .. '\n'
  call('HSET', job, 'history', string.sub(history, -4096))
end

-- Return an entry to the queue, claimable `delay_ms` from now, as if this delivery had not happened.
-- An idle time over the lease is what a reclaim looks for; the rest of it is the delay.
local function hand_back(stream, group, consumer, entry, job, lease_ms, delay_ms)
  local pending = attempt('XPENDING', stream, group, entry, entry, 1)
  if pending.err then
    create_group(stream, group)
    pending = {}
  end
  local deliveries = pending[1] and pending[1][4] - 1 or 0
  call('XCLAIM', stream, group, consumer, 0, entry, 'IDLE', math.max(0, lease_ms + 1 - delay_ms),
    'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
  call('HSET', job, 'state', 'queued')
end

-- Wake idle workers. One entry is enough: they wait for a newer one than they know.
local function ring(bell)
  call('XADD', bell, 'MAXLEN', 1, '*', 'ring', '1')
end
