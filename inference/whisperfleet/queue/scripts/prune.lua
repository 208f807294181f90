-- PRUNE: forget consumers that are gone and dead letters that are too old.
--
-- KEYS  1 dead letters   2... input streams
-- ARGV  1 group   2 idle time in ms from which on a consumer is gone   3 oldest dead letter to keep, as an
--       age in ms
-- Returns how many consumers were forgotten
--
-- Deleting a consumer drops what is pending for it, so only those with nothing pending go; a live one
-- comes back by itself with its next claim.

local GROUP, GONE_MS, KEEP_MS = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local refusal = refuse_wrong_types({ KEYS[1], 'stream' })
if refusal then
  return refusal
end

local forgotten = 0
for i = 2, #KEYS do
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
if call('XTRIM', KEYS[1], 'MINID', '~', kept_from, 'LIMIT', MAX_TRIMMED) == 0 then
  call('XTRIM', KEYS[1], 'MINID', kept_from)
end
return forgotten
