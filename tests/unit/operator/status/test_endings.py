"""What pods ended of, who did not start, and which rollouts do not move."""

import re
from datetime import datetime, timedelta

import pytest

from support.operator.world import (
    NOW,
    autoscaler,
    deployment,
    pod,
    sample,
    scaled_object,
    service,
    waiting_pod,
)
from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Keda, Observation, PoolView, Spell
from whisperfleet_operator.resource import ConditionType, Reason, TranscriptionServiceStatus
from whisperfleet_operator.resource.patience import CREATION_SECONDS
from whisperfleet_operator.status import service_status
from whisperfleet_operator.status.pods import why_not_ready
from whisperfleet_operator.status.rollouts import model_that_runs

SPEC = service().spec
(POOL,) = SPEC.pools

REFUSED = "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices"
PAUSED = {"paused": True}
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def at(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(a_pod: Object, seconds_ago: float, **spec: object) -> Object:
    a_pod["metadata"]["creationTimestamp"] = at(seconds_ago)
    a_pod["spec"] = {"nodeName": "gpu-1", "containers": [], **spec}
    return a_pod


def refused(name: str, ago: float, reason="UnexpectedAdmissionError", message=REFUSED) -> Object:
    status = {"reason": reason, "message": message, "startTime": at(ago), "conditions": []}
    return made(pod(name, phase="Failed", **status), ago)


def status_of(
    replicas=1, pods=(), failed=(), spells=None, conditions=(), jobs=1, before=None, **changes
):
    child = deployment(replicas, *conditions)
    child["spec"] |= changes
    view = PoolView(
        POOL,
        child,
        scaled_object(Ready="True"),
        tuple(pods),
        tuple(failed),
        (autoscaler(),),
        spells or {},
    )
    seen = Observation((view,), Keda.READY, sample(queued=jobs), None, ())
    return service_status(service(), seen, before or TranscriptionServiceStatus(), NOW)


def ready(status: TranscriptionServiceStatus, name=ConditionType.READY) -> tuple[str, Reason]:
    return next((str(e.status), e.reason) for e in status.conditions if e.type is name)


THREE = [refused(name, ago) for name, ago in (("a", 30), ("b", 20), ("c", 10))]


def test_pods_that_end_one_after_the_other_are_somebodys_task():
    status = status_of(failed=THREE, pods=[waiting_pod()])
    assert ready(status) == ("False", Reason.PODS_FAILING)
    assert ready(status, ConditionType.DEGRADED) == ("True", Reason.PODS_FAILING)
    message = status.pools[0].message
    assert "the pod c ended on the node gpu-1: UnexpectedAdmissionError: Allocate failed" in message
    assert "device plugin" in message
    assert "kubectl describe pod c" in message


def test_one_that_ended_is_told_of_and_no_more():
    status = status_of(failed=THREE[:2])
    assert ready(status) == ("True", Reason.SCALING_UP)
    assert "the pod b ended on the node gpu-1: UnexpectedAdmission" in status.pools[0].message
    assert ready(status, ConditionType.DEGRADED)[0] == "False"


@pytest.mark.parametrize(
    ("pods", "failed"),
    [
        # One that was made later works.
        ([made(pod("d"), 5)], THREE),
        # They are of another time.
        ([], [refused(name, 86_400 + ago) for name, ago in (("a", 3), ("b", 2), ("c", 1))]),
    ],
)
def test_what_is_over_is_not_told(pods, failed):
    status = status_of(pods=pods, failed=failed)
    assert ready(status)[1] in (Reason.SERVING, Reason.SCALING_UP)
    assert "ended" not in status.pools[0].message


def test_half_a_fleet_that_is_refused_is_told_of():
    status = status_of(replicas=2, pods=[made(pod("old"), 3600)], failed=THREE)
    assert ready(status) == ("True", Reason.PODS_FAILING)
    assert ready(status, ConditionType.DEGRADED)[0] == "True"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (
            refused("a", 10, "Evicted", "The node was low on resource: memory."),
            r"Evicted: The node was low on resource: memory \(raise the pool's requests",
        ),
        (refused("a", 10, "OutOfnvidia.com/gpu", ""), "OutOfnvidia.com/gpu .*do not agree"),
        (refused("a", 10, "NodeShutdown", "Pod was rejected"), "Pod was rejected .*shut down"),
        (refused("a", 10, "Whatever", "so it was"), "Whatever: so it was$"),
    ],
)
def test_each_ending_has_its_words(ending, words):
    message = status_of(failed=[ending]).pools[0].message
    assert re.search(words, message), message


def test_a_pod_that_ended_without_a_word_is_known_by_its_containers():
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": at(5)}
    gone = refused("a", 10, "", "")
    gone["status"]["containerStatuses"] = [
        {"name": "proxy", "state": {"terminated": ended}},
        {"name": "worker", "state": {"terminated": {"exitCode": 0, "finishedAt": at(6)}}},
    ]
    message = status_of(failed=[gone]).pools[0].message
    assert "Failed: the container proxy ended with exit code 1 (Error)" in message


def reason_of(a_pod: Object, now: datetime = NOW) -> tuple[Reason, str]:
    problem = why_not_ready(a_pod, POOL, 420, now, None)
    return problem.reason, problem.message


def container(name: str, **status: object) -> Object:
    return {"name": name, "image": f"example/{name}:1", "ready": False, **status}


def test_a_sidecar_that_crashes_is_named():
    ended = {"terminated": {"exitCode": 3, "finishedAt": at(5)}}
    crashing = container(
        "proxy", state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended, restartCount=4
    )
    worker = container("worker", state={"running": {"startedAt": at(600)}}) | {"ready": True}
    reason, message = reason_of(
        waiting_pod() | {"status": {"containerStatuses": [worker, crashing]}}
    )
    assert reason is Reason.WORKERS_CRASHING
    assert "the container proxy in the pod calls-main-1 has ended with exit code 3" in message
    assert "--previous calls-main-1 -c proxy" in message
    assert "device" not in message


def test_a_sidecar_that_is_not_ready_is_named():
    slow = container("proxy", state={"running": {"startedAt": at(600)}})
    worker = container("worker", state={"running": {"startedAt": at(600)}}) | {"ready": True}
    status = {"containerStatuses": [worker, slow]}
    reason, message = reason_of(waiting_pod() | {"status": status})
    assert reason is Reason.WORKERS_NOT_READY
    assert "the container proxy" in message
    assert "-c proxy" in message


def test_a_container_that_never_began_says_why():
    start = "failed to create containerd task: nvidia-container-cli: driver error"
    ended = {"terminated": {"exitCode": 128, "reason": "StartError", "message": start}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    status = {"containerStatuses": [container("worker", state=waiting, lastState=ended)]}
    reason, message = reason_of(waiting_pod() | {"status": status})
    assert reason is Reason.WORKERS_CRASHING
    assert f"cannot be started, again and again: {start}" in message


@pytest.mark.parametrize(
    ("waiting", "words"),
    [
        ({"reason": "ContainerCreating"}, "is not started: kubectl describe pod calls-main-1"),
        (
            {"reason": "RunContainerError", "message": "no driver"},
            r"\(the container worker: RunContainerError: no driver\)",
        ),
    ],
)
def test_a_pod_that_never_starts_says_what_it_waits_for(waiting, words):
    stuck = waiting_pod({"state": {"waiting": waiting}}, lastTransitionTime=at(300))
    assert reason_of(stuck)[0] is Reason.POD_STARTING
    reason, message = reason_of(stuck, NOW + timedelta(seconds=121))
    assert reason is Reason.WORKERS_NOT_READY
    assert "spec.scaling.startupSeconds (420 s)" in message
    assert re.search(words, message), message


def test_a_pod_that_no_scheduler_has_looked_at():
    ignored = {**pod(conditions=[]), "spec": {}}
    ignored["metadata"]["creationTimestamp"] = at(400)
    assert reason_of(ignored) == (
        Reason.POD_STARTING,
        "the pod calls-main-1 waits for the scheduler",
    )
    reason, message = reason_of(ignored, NOW + timedelta(seconds=60))
    assert reason is Reason.UNSCHEDULABLE
    assert "kube-scheduler" in message


def test_pods_that_are_not_made_are_waited_for_for_a_minute():
    assert ready(status_of(spells={Spell.UNMADE: CREATION_SECONDS}))[1] is Reason.SCALING_UP
    status = status_of(spells={Spell.UNMADE: CREATION_SECONDS + 1})
    assert ready(status) == ("False", Reason.WORKERS_NOT_READY)
    assert "0 of 1 pods have been made" in status.pools[0].message


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"replicas": 0, "jobs": 0, "paused": True}, ("True", Reason.ROLLOUT_PAUSED)),
        ({"pods": [pod()], "paused": True}, ("True", Reason.ROLLOUT_PAUSED)),
        ({"pods": [pod()], "conditions": [STUCK]}, ("True", Reason.ROLLOUT_STUCK)),
        # What its pods wait for says more.
        ({"pods": [waiting_pod()], "conditions": [STUCK]}, ("True", Reason.POD_STARTING)),
        ({"failed": THREE, "paused": True}, ("False", Reason.PODS_FAILING)),
    ],
)
def test_a_rollout_that_does_not_move_is_told(seen, expected):
    status = status_of(**seen)
    assert ready(status) == expected
    if expected[1] in (Reason.ROLLOUT_PAUSED, Reason.ROLLOUT_STUCK):
        assert ready(status, ConditionType.DEGRADED) == ("True", expected[1])
        assert "calls-main" in status.pools[0].message


def with_image(name: str, ago: float, image: str, working=True, **env: str) -> Object:
    listed = [{"name": key, "value": value} for key, value in env.items()]
    a_pod = pod(name) if working else waiting_pod() | {"metadata": {"name": name}}
    containers = [
        {"name": "proxy", "image": "p:1"},
        {"name": "worker", "image": image, "env": listed},
    ]
    return made(a_pod, ago, containers=containers)


NEW, OLD = "example/worker:0.1.0-turbo", "registry.example:5000/worker:0.0.9-base"
HUB = {"image": NEW, "name": "large-v3-turbo", "source": {"hub": {}}}


@pytest.mark.parametrize(
    ("model", "pods", "shown"),
    [
        ({"image": NEW}, [], "0.1.0-turbo"),
        ({"image": NEW}, [with_image("a", 9, NEW)], "0.1.0-turbo"),
        ({"image": NEW}, [with_image("a", 9, OLD)], "0.0.9-base"),
        (
            {"image": NEW},
            [with_image("b", 1, NEW), with_image("a", 9, OLD), with_image("c", 8, OLD)],
            "0.0.9-base, 0.1.0-turbo",
        ),
        # The new one does not work yet.
        (
            {"image": NEW},
            [with_image("b", 1, NEW, working=False), with_image("a", 9, OLD)],
            "0.0.9-base",
        ),
        ({"image": NEW, "name": "turbo"}, [with_image("a", 9, NEW)], "turbo"),
        ({"image": NEW, "name": "turbo"}, [with_image("a", 9, OLD)], "0.0.9-base"),
        (
            HUB,
            [with_image("a", 9, NEW, WHISPERFLEET_MODEL="large-v3")],
            "large-v3",
        ),
        ({"image": NEW}, [with_image("a", 9, OLD, WHISPERFLEET_MODEL="/model")], "0.0.9-base"),
    ],
)
def test_the_model_is_that_of_the_pods_that_work(model, pods, shown):
    wanted = service(model=model)
    view = PoolView(wanted.spec.pools[0], deployment(1), None, tuple(pods))
    assert model_that_runs(wanted, [view]) == shown
