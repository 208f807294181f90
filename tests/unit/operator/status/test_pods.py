"""Why a pod does not work, from what the scheduler and the kubelet say about it."""

import re
from datetime import timedelta

import pytest

from support.operator.world import NOW, deployment, pod, sample, scaled_object, service, waiting_pod
from whisperfleet_operator.observe import Keda, Observation, PoolView, Problem
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.status import PoolStatus
from whisperfleet_operator.status.pods import why_not_ready
from whisperfleet_operator.status.pools import assess_pool

POOL = service().spec.pools[0]

# As Kubernetes 1.35 words them.
NO_GPU = (
    "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, "
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)
NO_NODE = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
NO_MEMORY = "0/1 nodes are available: 1 Insufficient memory."
QUOTA = (
    'pods "calls-main-6d4-x" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=0, '
    "limited: pods=0"
)


def unschedulable(message: str) -> dict:
    return waiting_pod(status="False", reason="Unschedulable", message=message)


def waiting(reason: str, message: str = "", **container) -> dict:
    return waiting_pod({"state": {"waiting": {"reason": reason, "message": message}}, **container})


def running(since: str) -> dict:
    return waiting_pod({"state": {"running": {"startedAt": since}}})


def ended(code: int, restarts: int, reason: str = "CrashLoopBackOff", ago: int = 60) -> dict:
    return waiting(reason, lastState=end(code, ago), restartCount=restarts)


def end(code: int, ago: int) -> dict:
    """Return the state of a container that ended so many seconds ago."""
    finished = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": finished}}


def restarted(since: str, ago: int) -> dict:
    """Return a pod that is up again, and was killed for its memory the second time."""
    state = {"running": {"startedAt": since}}
    return waiting_pod({"state": state, "lastState": end(137, ago), "restartCount": 2})


@pytest.mark.parametrize(
    ("a_pod", "reason", "words"),
    [
        (unschedulable(NO_GPU), Reason.NO_GPU_AVAILABLE, "waits for 1 nvidia.com/gpu"),
        (
            unschedulable(NO_NODE),
            Reason.NO_GPU_AVAILABLE,
            "no node of the preset gke-l4 has as many free; add such nodes",
        ),
        (unschedulable(NO_MEMORY), Reason.UNSCHEDULABLE, "Insufficient memory"),
        (waiting("ImagePullBackOff", "not found"), Reason.IMAGE_PULL, "example/worker:0.1.0-turbo"),
        (waiting("ErrImagePull"), Reason.IMAGE_PULL, "ErrImagePull"),
        (waiting("InvalidImageName"), Reason.IMAGE_PULL, "spec.model.image"),
        (
            waiting("CreateContainerConfigError", 'secret "redis" not found'),
            Reason.SECRET_MISSING,
            'secret "redis" not found',
        ),
        (
            waiting("CreateContainerConfigError", "couldn't find key"),
            Reason.WORKERS_NOT_READY,
            "couldn't find key",
        ),
        (ended(4, 1), Reason.WORKERS_CRASHING, "exit code 4 .*the model cannot be found"),
        (ended(137, 2, "ContainerCreating"), Reason.WORKERS_CRASHING, "memory"),
        (ended(1, 3), Reason.WORKERS_CRASHING, "kubectl logs --previous calls-main-1"),
        (ended(4, 9, ago=3600), Reason.WORKERS_CRASHING, "exit code 4"),
        (waiting("Error", state=end(1, 0), restartCount=2), Reason.WORKERS_CRASHING, "code 1"),
        # One restart, and up again.
        (ended(137, 1, "PodInitializing"), Reason.POD_STARTING, "starts it"),
        (waiting("ContainerCreating"), Reason.POD_STARTING, "on its node"),
        (waiting_pod(), Reason.POD_STARTING, "on its node"),
        (running("2026-03-01T11:59:00Z"), Reason.MODEL_LOADING, "loads the model"),
        (running("2026-03-01T11:50:00Z"), Reason.WORKERS_NOT_READY, r"startupSeconds \(420 s\)"),
        (restarted("2026-03-01T11:59:00Z", 60), Reason.WORKERS_CRASHING, "memory"),
        # What it went through in another life is no reason for anything now.
        (restarted("2026-03-01T11:30:00Z", 1800), Reason.WORKERS_NOT_READY, "kubectl logs"),
    ],
)
def test_each_state_of_a_pod_has_its_reason(a_pod, reason, words):
    problem = why_not_ready(a_pod, POOL, 420, NOW, None)
    assert problem.reason is reason
    assert re.search(words, problem.message), problem.message


def test_a_model_that_loads_for_long_is_no_new_beginning():
    """Between two ends by its startup probe a worker has its time, however long that is."""
    a_pod = restarted("2026-03-01T11:00:00Z", 3600)
    assert why_not_ready(a_pod, POOL, 3600, NOW, None).reason is Reason.WORKERS_CRASHING


@pytest.mark.parametrize("reason", [Reason.QUEUE_UNREACHABLE, Reason.QUEUE_REFUSED])
def test_no_pod_is_blamed_for_its_queue(reason):
    gone = Problem(reason, "Redis is gone")
    for since in ("2026-03-01T11:59:00Z", "2026-03-01T11:50:00Z"):
        problem = why_not_ready(running(since), POOL, 420, NOW, gone)
        assert problem.reason is reason
        assert "before its queue can be used" in problem.message
    # Others than the worker have no queue.
    assert why_not_ready(unschedulable(NO_GPU), POOL, 420, NOW, gone).reason is (
        Reason.NO_GPU_AVAILABLE
    )
    missing = Problem(Reason.SECRET_MISSING, "the Secret redis does not exist")
    hanging = why_not_ready(running("2026-03-01T11:50:00Z"), POOL, 420, NOW, missing)
    assert hanging.reason is Reason.WORKERS_NOT_READY


def test_a_selector_of_ones_own_is_named_where_no_gpu_is():
    (pool,) = service(
        pools=[
            {
                "name": "main",
                "replicas": {"max": 3},
                "gpu": {"preset": "gke-l4"},
                "nodeSelector": {"zone": "wset", "disk": "ssd"},
            }
        ]
    ).spec.pools
    message = why_not_ready(unschedulable(NO_NODE), pool, 420, NOW, None).message
    assert (
        "no node of the preset gke-l4 with the pool's nodeSelector disk=ssd, zone=wset" in message
    )
    assert "or correct the nodeSelector" in message


def assess(replicas=0, pods=(), conditions=(), queue=None, queue_problem=None, before=None, **spec):
    wanted = service(**spec)
    view = PoolView(
        wanted.spec.pools[0],
        deployment(replicas, *conditions),
        scaled_object(Ready="True"),
        tuple(pods),
    )
    seen = Observation((view,), Keda.READY, queue, queue_problem, ())
    last = PoolStatus(name="main", reason=before)
    return assess_pool(view, wanted.spec, seen, last, NOW)


FULL = {"replicas": 3, "pods": [pod(name) for name in "abc"]}


@pytest.mark.parametrize(
    ("seen", "reason", "blocked"),
    [
        ({}, Reason.IDLE, False),
        ({"queue": sample(queued=1)}, Reason.SCALING_UP, False),
        ({"replicas": 1, "queue": sample(queued=1)}, Reason.SCALING_UP, False),
        ({"replicas": 1, "pods": [pod()], "queue": sample(running=1)}, Reason.SERVING, False),
        ({"replicas": 1, "pods": [pod()], "queue": sample()}, Reason.IDLE, False),
        # Twice the 32 jobs that a pod holds are each pod's share.
        ({**FULL, "queue": sample(queued=97, running=96)}, Reason.AT_MAX_REPLICAS, False),
        ({**FULL, "queue": sample(queued=96, running=96)}, Reason.SERVING, False),
        # Until nothing waits any more.
        (
            {**FULL, "queue": sample(queued=1, running=96), "before": Reason.AT_MAX_REPLICAS},
            Reason.AT_MAX_REPLICAS,
            False,
        ),
        (
            {**FULL, "queue": sample(running=96), "before": Reason.AT_MAX_REPLICAS},
            Reason.SERVING,
            False,
        ),
        (
            {
                **FULL,
                "replicas": 2,
                "pods": [pod("a"), pod("b")],
                "queue": sample(queued=9000, running=64),
            },
            Reason.SERVING,
            False,
        ),
        # Nobody knows what they do.
        ({**FULL, "queue": None}, Reason.SERVING, False),
        (
            {"replicas": 2, "pods": [pod(), unschedulable(NO_GPU)], "queue": sample(queued=9)},
            Reason.NO_GPU_AVAILABLE,
            True,
        ),
        # A pod that starts beside one that works is no news.
        (
            {"replicas": 2, "pods": [pod(), waiting_pod()], "queue": sample(queued=9)},
            Reason.SCALING_UP,
            False,
        ),
        # The worst of several is told.
        (
            {"replicas": 2, "pods": [unschedulable(NO_GPU), ended(4, 3)]},
            Reason.WORKERS_CRASHING,
            True,
        ),
        ({"suspend": True, "queue": sample(queued=9)}, Reason.SUSPENDED, False),
        (
            {
                "replicas": 1,
                "conditions": [{"type": "ReplicaFailure", "status": "True", "message": QUOTA}],
            },
            Reason.QUOTA_EXCEEDED,
            True,
        ),
        (
            {
                "replicas": 1,
                "conditions": [
                    {"type": "ReplicaFailure", "status": "True", "message": "PodSecurity: no"}
                ],
            },
            Reason.POD_REFUSED,
            True,
        ),
    ],
)
def test_each_state_of_a_pool_has_its_reason(seen, reason, blocked):
    state = assess(**seen)
    assert state.status.reason is reason
    assert state.blocked is blocked
    assert state.status.message


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({}, "nobody works on them"),
        ({"replicas": 1}, "the last pods finish"),
        ({"pods": [pod()]}, "the last pods finish"),
        # A pod that is on its way out and still holds a job.
        ({"queue": sample(running=1)}, "the last pods finish"),
        ({"queue": sample(queued=1)}, "nobody works on them"),
    ],
)
def test_a_suspended_pool_says_whether_anybody_is_still_at_work(seen, words):
    assert words in assess(suspend=True, **seen).status.message


def test_jobs_that_trickle_in_are_no_news_to_a_pool_of_one():
    one = {"replicas": 1, "pods": [pod()], "pools": [{"name": "main", "replicas": {"max": 1}}]}
    before, told = None, set()
    for queued in (0, 1, 3, 0, 2, 1, 0):
        before = assess(queue=sample(queued=queued, running=1), before=before, **one).status.reason
        told.add(before)
    assert told == {Reason.SERVING}
