"""Why a pod does not work, from what the scheduler and the kubelet say about it."""

import re

import pytest

from operating.world import NOW, deployment, pod, sample, scaled_object, service, waiting_pod
from whisperfleet_operator.observe import PoolView
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.status.pods import why_not_ready
from whisperfleet_operator.status.pools import judge_pool

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


def ended(code: int, restarts: int, reason: str = "CrashLoopBackOff") -> dict:
    return waiting(
        reason,
        lastState={"terminated": {"exitCode": code, "reason": "Error"}},
        restartCount=restarts,
    )


@pytest.mark.parametrize(
    ("a_pod", "reason", "words"),
    [
        (unschedulable(NO_GPU), Reason.NO_GPU_AVAILABLE, "waits for 1 nvidia.com/gpu"),
        (unschedulable(NO_NODE), Reason.NO_GPU_AVAILABLE, "of the preset gke-l4"),
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
        # One restart, and up again.
        (ended(137, 1, "PodInitializing"), Reason.POD_STARTING, "starts it"),
        (waiting("ContainerCreating"), Reason.POD_STARTING, "on its node"),
        (waiting_pod(), Reason.POD_STARTING, "on its node"),
        (running("2026-03-01T11:59:00Z"), Reason.MODEL_LOADING, "loads the model"),
        (running("2026-03-01T11:50:00Z"), Reason.WORKERS_NOT_READY, r"startupSeconds \(420 s\)"),
    ],
)
def test_each_state_of_a_pod_has_its_reason(a_pod, reason, words):
    problem = why_not_ready(a_pod, POOL, 420, NOW)
    assert problem.reason is reason
    assert re.search(words, problem.message), problem.message


def judge(replicas=0, pods=(), conditions=(), queue=None, **spec):
    wanted = service(**spec)
    view = PoolView(
        wanted.spec.pools[0],
        deployment(replicas, *conditions),
        scaled_object(Ready="True"),
        tuple(pods),
    )
    return judge_pool(view, wanted.spec, queue, NOW)


@pytest.mark.parametrize(
    ("seen", "reason", "blocked"),
    [
        ({}, Reason.IDLE, False),
        ({"queue": sample(queued=1)}, Reason.SCALING_UP, False),
        ({"replicas": 1, "queue": sample(queued=1)}, Reason.SCALING_UP, False),
        ({"replicas": 1, "pods": [pod()], "queue": sample(running=1)}, Reason.SERVING, False),
        ({"replicas": 1, "pods": [pod()], "queue": sample()}, Reason.IDLE, False),
        (
            {"replicas": 3, "pods": [pod(n) for n in "abc"], "queue": sample(queued=9)},
            Reason.AT_MAX_REPLICAS,
            False,
        ),
        (
            {"replicas": 3, "pods": [pod(n) for n in "abc"], "queue": sample(running=9)},
            Reason.SERVING,
            False,
        ),
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
    judgement = judge(**seen)
    assert judgement.status.reason is reason
    assert judgement.blocked is blocked
    assert judgement.status.message
