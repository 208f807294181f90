-- REGISTER: agree on whose the queue is and which protocol it speaks.
--
-- KEYS  1 meta
-- ARGV  1 protocol version   2 owner or '' where the caller does not know
-- Returns {protocol version, owner} as they stand after the call

local META, VERSION, OWNER = KEYS[1], ARGV[1], ARGV[2]

local refusal = refuse_wrong_types({ META, 'hash' })
if refusal then
  return refusal
end

local version, owner = unpack(call('HMGET', META, 'protocol', 'owner'))
if not version then
  call('HSET', META, 'protocol', VERSION, 'created', integer(now_ms()))
end
if not owner and OWNER ~= '' then
  call('HSET', META, 'owner', OWNER)
end
return { version or VERSION, owner or OWNER }
