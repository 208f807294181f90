#!/bin/sh
# Send audio to a fleet and print its words: produce.sh https://example.org/call.ogg
set -eu

queue="wf:{${QUEUE:-default.calls}}"

redis() { redis-cli -e -u "${REDIS_URL:-redis://127.0.0.1:6379/0}" "$@"; }

case $1 in
  *://*) entry=$(redis XADD "$queue:in:normal" '*' url "$1") ;;
  # A file of up to 1 MiB travels with the job.
  *) entry=$(redis -x XADD "$queue:in:normal" '*' audio < "$1") ;;
esac
id="normal-$entry"

# Each job that ends ends the wait for an event: look again whether it was this one, and each second anyway.
deadline=$(($(date +%s) + 600))
while result=$(redis GET "$queue:result:$id") || result=; [ -z "$result" ]; do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    echo "$id has not ended within 600 s; it goes on" >&2
    exit 1
  fi
  # Redis may be restarting, and keeps the job meanwhile.
  redis XREAD BLOCK 1000 STREAMS "$queue:done" '$' > /dev/null || sleep 1
done

printf '%s' "$result" | jq -er '.transcript.text // error("\(.id) is \(.state): \(.error.code): \(.error.message)")'
