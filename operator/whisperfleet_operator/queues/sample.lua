-- How deep a queue is, in one moment and without moving what is in it.
--
-- KEYS  1 dead letters, 2.. the streams
-- ARGV  1 consumer group   2 lease in ms
-- Returns {dead letters, {length, pending or -1 without the group, id of the oldest entry that waits
--          or ''}, ...}

local GROUP, LEASE_MS = ARGV[1], ARGV[2]

-- Redis serves nobody else meanwhile.
local MAX_LOOKED_AT = 16

local function first(stream, from, to)
  local entry = redis.call('XRANGE', stream, from, to, 'COUNT', 1)[1]
  return entry and entry[1]
end

-- The last entry that any worker was given.
local function last_delivered(stream)
  for _, facts in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local is_ours, last = false, nil
    for i = 1, #facts, 2 do
      is_ours = is_ours or (facts[i] == 'name' and facts[i + 1] == GROUP)
      last = facts[i] == 'last-delivered-id' and facts[i + 1] or last
    end
    if is_ours then
      return last
    end
  end
end

-- What was handed back, or is held by a worker that fell silent, waits too, and is older than what no
-- worker has been given.
local function oldest_that_waits(stream)
  local idle = redis.call('XPENDING', stream, GROUP, 'IDLE', LEASE_MS, '-', '+', MAX_LOOKED_AT)
  for _, pending in ipairs(idle) do
    if first(stream, pending[1], pending[1]) then
      return pending[1]
    end
  end
  return first(stream, '(' .. last_delivered(stream), '+')
end

local depths = { redis.call('XLEN', KEYS[1]) }
for i = 2, #KEYS do
  local length = redis.call('XLEN', KEYS[i])
  local pending = redis.pcall('XPENDING', KEYS[i], GROUP)
  if pending.err and not string.find(pending.err, '^NOGROUP') then
    return pending
  end
  if pending.err then
    depths[i] = { length, -1, first(KEYS[i], '-', '+') or '' }
  else
    depths[i] = { length, pending[1], oldest_that_waits(KEYS[i]) or '' }
  end
end
return depths
