"""A backlog with nobody to work on it: what a scaling signal has to notice."""

import redis

from support.cluster.fleet import Fleet, is_ready
from support.cluster.kube import until
from support.cluster.node import kill_container

HANDED_BACK = ("call-0", "call-1")
NEW = ("call-2", "call-3", "call-4")


def strand(fleet: Fleet) -> list[str]:
    """Leave zero pods, two jobs that were handed back and three that nobody has begun.

    KEDA is paused: `Fleet.resume` lets it look again. Returns the ids of the jobs.
    """
    fleet.submit_gated(*HANDED_BACK)
    fleet.wait_until_begun(*HANDED_BACK)
    fleet.pause_at_zero()
    fleet.wait_until_asleep()
    assert [fleet.status(job).releases for job in HANDED_BACK] == [1, 1]
    fleet.submit_gated(*NEW)
    return [*HANDED_BACK, *NEW]


def restart_redis(fleet: Fleet) -> None:
    """Kill Redis; return once it has read its file again."""
    before = fleet.raw.info("server")["run_id"]
    kill_container(fleet.kube, "redis-0", fleet.namespace)

    def back() -> bool:
        try:
            return bool(fleet.raw.info("server")["run_id"] != before)
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    # Its Service leads nowhere from when the kubelet notices until it is ready.
    until(lambda: is_ready(fleet.kube, "redis-0", fleet.namespace), "Redis is ready again", 60)
    until(back, "Redis answers again", 60)
