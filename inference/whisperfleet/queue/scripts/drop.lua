-- DROP: forget a dead job: its letter, its record and its result, so that its id is free.
--
-- KEYS  1 dead letters   2 job   3 result   4 counters
-- ARGV  1 entry of the dead letter, or '' where the job itself was named   2 tenant or '' for any
-- Returns 'dropped'
--         'unknown'    there is no such letter and no such job, or it is another tenant's
--         'alive'      the job is not dead

local DEAD, JOB, RESULT, COUNTERS = unpack(KEYS)
local LETTER, TENANT = ARGV[1], ARGV[2]

local refusal = refuse_wrong_types({ DEAD, 'stream', JOB, 'hash', COUNTERS, 'hash' })
if refusal then
  return refusal
end

local state, tenant, own = unpack(call('HMGET', JOB, 'state', 'tenant', 'letter'))
if TENANT ~= '' and state and tenant ~= TENANT then
  return 'unknown'
end
local is_dead = state == 'dead'
local removed = 0
if LETTER ~= '' then
  removed = call('XDEL', DEAD, LETTER)
end
if is_dead then
  if own then
    call('XDEL', DEAD, own)
  end
  call('DEL', JOB, RESULT)
end
if removed == 0 and not is_dead then
  return state and 'alive' or 'unknown'
end
call('HINCRBY', COUNTERS, 'dropped', 1)
return 'dropped'
