-- How deep a queue is, in one moment and without moving what is in it.
--
-- KEYS  1 dead letters, 2.. the streams
-- ARGV  1 consumer group
-- Returns {dead letters, {length, pending or -1 without the group, id of the oldest entry or ''}, ...}

local depths = { redis.call('XLEN', KEYS[1]) }
for i = 2, #KEYS do
  local length = redis.call('XLEN', KEYS[i])
  local pending = redis.pcall('XPENDING', KEYS[i], ARGV[1])
  if pending.err and not string.find(pending.err, '^NOGROUP') then
    return pending
  end
  local oldest = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
  depths[i] = { length, pending.err and -1 or pending[1], oldest and oldest[1] or '' }
end
return depths
