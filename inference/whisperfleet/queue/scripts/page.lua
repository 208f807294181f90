-- PAGE: read on in a stream, without what is long in its entries, as audio is.
--
-- KEYS  1 stream
-- ARGV  1 from   2 to, both as for XRANGE   3 most entries
-- Returns {entry, fields, names and lengths of those left out} of each, in turn; none at the end

local MAX_ENTRIES = tonumber(ARGV[3])

-- Past the highest id there is not even a range.
if ARGV[1] == '(' .. LAST_ID then
  return {}
end
local page, from, read_bytes = {}, ARGV[1], 0
while #page < MAX_ENTRIES and read_bytes < MAX_READ_BYTES do
  local found = call('XRANGE', KEYS[1], from, ARGV[2], 'COUNT', 1)[1]
  if not found then
    break
  end
  read_bytes = read_bytes + bytes_of(found[2])
  page[#page + 1] = { found[1], without_long(found[2]) }
  if found[1] == LAST_ID then
    break
  end
  from = '(' .. found[1]
end
return page
