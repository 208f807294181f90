"""What a job's calls of Redis cost by themselves: the yardstick of the queue's benchmark.

Two EVALSHA a job by redis-py, as a worker has, with arguments and replies of the same number and
size. The scripts take an entry, and publish and acknowledge it, without what makes that safe. So
the yardstick is Python and redis-py as the worker is, and what slows a machine slows both: CPU
beside CPU says something of the worker, and little of the machine.
"""

import time
from typing import Any, Final

import redis

from whisperfleet.contract.keys import Keys

__all__ = ["do_jobs"]

# KEYS and ARGV as claim.lua and finish.lua have them.
_CLAIM: Final = """
local taken = redis.call(
  'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[4], '>')
local entry, fields = taken[1][2][1][1], taken[1][2][1][2]
return {'run', KEYS[4], entry, 'normal-' .. entry, 1, 1, 0, 0, 1796067000578, '', fields, 'new'}
"""
_FINISH: Final = """
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', unpack(ARGV, 15))
redis.call('SET', KEYS[3], ARGV[6], 'PX', ARGV[7])
redis.call('HSET', KEYS[2], 'state', ARGV[4], 'entry', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('HINCRBY', KEYS[5], ARGV[4], 1)
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 'published'
"""
# As long as the result that the null worker publishes.
_RESULT: Final = "r" * 742
# As long as what a job used, as figures to be added and in the event.
_USAGE: Final = "u" * 66
_USAGE_OF_EVENT: Final = "u" * 125
_MS: Final = 86_400_000


def do_jobs(client: redis.Redis, keys: Keys, jobs: int) -> float:
    """Take so many jobs and publish their end; return the CPU seconds of this thread."""
    stream, prefix = keys.stream("normal"), keys.prefix
    client.xgroup_create(stream, keys.group, id="0")
    claim, finish = client.script_load(_CLAIM), client.script_load(_FINISH)
    consumer = "null-12345-abcdef01"
    streams = (stream, keys.stream("high"), keys.stream("low"))
    began = time.thread_time()
    for _ in range(jobs):
        taken: Any = client.evalsha(
            claim,
            6,
            *(keys.counters, keys.running, keys.meta, *streams),
            *(keys.group, consumer, prefix, 60_000, 8, 0, 30_000),
        )
        entry, job_id = taken[2].decode(), taken[3].decode()
        event = ("v", "1.1", "id", job_id, "state", "done", "epoch", "1", "stream", "normal")
        client.evalsha(
            finish,
            8,
            *(stream, keys.job(job_id), keys.result(job_id), keys.done, keys.counters),
            *(keys.running, keys.dead_letters, keys.usage),
            *(keys.group, entry, 1, "done", "", _RESULT, _MS, 100_000, 10_000),
            *(
                f"normal/{entry}",
                _USAGE,
                "normal",
                "",
                14,
                *event,
                "entry",
                entry,
                "usage",
                _USAGE_OF_EVENT,
            ),
        )
    return time.thread_time() - began
