-- PRUNE: forget consumers that are gone, dead letters that are too old, and entries that nobody can come
-- to any more.
--
-- KEYS  1 dead letters   2 running   3 meta   4... input streams
-- ARGV  1 group   2 idle time in ms from which on a consumer is gone   3 oldest dead letter to keep, as an
--       age in ms   4 key prefix
-- Returns how many consumers were forgotten
--
-- Deleting a consumer drops what is pending for it, so only those with nothing pending go; a live one
-- comes back by itself with its next claim.

local DEAD, RUNNING, META = KEYS[1], KEYS[2], KEYS[3]
local FIRST_STREAM = 4
local GROUP, GONE_MS, KEEP_MS, PREFIX = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

-- How many entries a call looks for; where Redis keeps them together it looks for some hundreds.
local MAX_LOOKED_FOR = 128

local refusal = refuse_wrong_types({ DEAD, 'stream', META, 'hash' })
if refusal then
  return refusal
end

local streams = {}
for i = FIRST_STREAM, #KEYS do
  if not wrong_type(KEYS[i], 'stream') then
    streams[suffix_of(KEYS[i], PREFIX)] = KEYS[i]
  end
end

-- Whether a worker will come to an entry, or is at it still.
local function has_a_future(stream, entry, id)
  if entry_exists(stream, entry) or keeper_of(PREFIX .. 'job:' .. id, GONE_MS) then
    return true
  end
  local pending = attempt('XPENDING', stream, GROUP, entry, entry, 1)
  return not pending.err and #pending > 0
end

-- Who deleted an entry and its pending mark left nothing by which CLAIM finds it: what says whose it was
-- would stay for ever. An account that may not look leaves it there.
local function forget_entries()
  local page = redis.pcall('HSCAN', RUNNING, call('HGET', META, 'scan') or '0', 'COUNT', MAX_LOOKED_FOR)
  if page.err then
    return nil
  end
  for i = 1, #page[2], 2 do
    local suffix, entry = string.match(page[2][i], '^(.*)/(.*)$')
    local stream = streams[suffix]
    if stream and not has_a_future(stream, entry, page[2][i + 1]) then
      call('HDEL', RUNNING, page[2][i])
    end
  end
  call('HSET', META, 'scan', page[1])
end

forget_entries()
local forgotten = 0
for i = FIRST_STREAM, #KEYS do
  local consumers = attempt('XINFO', 'CONSUMERS', KEYS[i], GROUP)
  for _, flat in ipairs(consumers.err and {} or consumers) do
    local consumer = fields_of(flat)
    if consumer['pending'] == 0 and consumer['idle'] > GONE_MS then
      call('XGROUP', 'DELCONSUMER', KEYS[i], GROUP, consumer['name'])
      forgotten = forgotten + 1
    end
  end
end
-- First by what Redis keeps together, a part of it with each call; then what is left of the last part.
local kept_from = integer(math.max(0, now_ms() - KEEP_MS))
if call('XTRIM', DEAD, 'MINID', '~', kept_from, 'LIMIT', MAX_TRIMMED) == 0 then
  call('XTRIM', DEAD, 'MINID', kept_from)
end
return forgotten
