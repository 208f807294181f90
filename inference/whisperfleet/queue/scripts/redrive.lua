-- REDRIVE: send a dead letter's job again, under the same id, as a fresh entry.
--
-- KEYS  1 dead letters   2 job   3 result   4 stream   5 counters   6 running
-- ARGV  1 entry of the dead letter   2 key prefix
-- Returns 'redriven'
--         'unknown'    there is no such dead letter, or it has been redriven
--         'empty'      the letter does not hold the whole job
--         'alive'      the job is not dead; the letter is a remnant

local DEAD, JOB, RESULT, STREAM, COUNTERS, RUNNING = unpack(KEYS)
local LETTER, PREFIX = ARGV[1], ARGV[2]
local JOB_FIELD = 'job.'

local refusal = refuse_wrong_types({
  DEAD, 'stream', JOB, 'hash', STREAM, 'stream', COUNTERS, 'hash', RUNNING, 'hash',
})
if refusal then
  return refusal
end

local found = call('XRANGE', DEAD, LETTER, LETTER)[1]
if not found then
  return 'unknown'
end
local letter = fields_of(found[2])
local state = call('HGET', JOB, 'state')
if state and state ~= 'dead' then
  return 'alive'
end

local fields = { 'id', letter['id'], 'redriven', LETTER }
for name, value in pairs(letter) do
  if string.sub(name, 1, #JOB_FIELD) == JOB_FIELD then
    local job_name = string.sub(name, #JOB_FIELD + 1)
    if job_name ~= 'id' and job_name ~= 'redriven' then
      fields[#fields + 1] = job_name
      fields[#fields + 1] = value
    end
  end
end
if #fields == 4 or letter['dropped_fields'] then
  return 'empty'
end

local entry = call('XADD', STREAM, '*', unpack(fields))
local suffix = suffix_of(STREAM, PREFIX)
if not state then
  -- The job's own record has faded; its epochs go on from where the letter saw them.
  local sent = fields_of(fields)
  local tenant = tenant_of(suffix, sent)
  call('HSET', JOB, 'epoch', letter['epoch'] or 0, 'tenant', tenant, 'digest', digest_of(sent, tenant))
end
call('HSET', JOB, 'state', 'queued', 'stream', suffix, 'entry', entry, 'deliveries', 0,
  'releases', 0, 'retries', 0)
call('HDEL', JOB, 'cancel', 'cancellers', 'code', 'finished', 'letter')
call('PERSIST', JOB)
call('HSET', RUNNING, suffix .. '/' .. entry, letter['id'])
call('DEL', RESULT)
call('XDEL', DEAD, LETTER)
call('HINCRBY', COUNTERS, 'redriven', 1)
remember(JOB, 'redriven from dead letter ' .. LETTER)
return 'redriven'
