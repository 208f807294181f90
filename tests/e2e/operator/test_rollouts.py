"""A change rolls the workers while two hundred jobs run, and none is lost or seen twice."""

import time

import pytest
import redis

from hack.testbed import Testbed
from support.audio.files import clips
from support.cluster.fleet import behind
from support.cluster.kube import Kube, condition, until
from support.operator.process import Operator
from support.operator.programs import GATED_PROGRAM, program, template
from support.operator.services import POOL, Service
from support.servers import assert_invariants
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.queue import RedisSettings

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1500, func_only=True),
    pytest.mark.usefixtures("operator"),
]

JOBS = 200
# These end before the change, and the others not before there is a worker of the new generation.
FREE = 40
ROLLOUT_SECONDS = 400
GATE = "rollout"

# On a busy machine a worker starts slowly, and one that is started anew for it starts no faster.
SCALING = {"pollingSeconds": 1, "startupSeconds": 60, "cooldownSeconds": 61}
SPEC = {"scaling": SCALING, "worker": {"maxInFlight": 2, "drainSeconds": 10}}


POOLS = [{"name": POOL, "replicas": {"max": 2}, "template": template()}]


@pytest.fixture
def next_image(testbed: Testbed, worker_image: str) -> str:
    """The worker's image as its next release; what rolls the workers is that its name is new."""
    name = f"{worker_image}-next"
    testbed.name_image(worker_image, name)
    return name


def test_a_new_image(
    apply_service, next_image: str, queue: Client, raw: redis.Redis, report_figure
):
    service = apply_service(**SPEC, pools=POOLS)
    service.kube.create(program(GATED_PROGRAM), service.namespace)
    service.wait_for("Ready", "Idle", "True")
    job_ids = _send(queue)
    _wait_until_only_the_gated_are_left(queue, raw, job_ids)
    before = _uids(service)

    service.patch({"spec": {"model": {"image": next_image}}})
    left = _roll(service, raw, queue, before)
    assert _images(service) == {next_image}
    _all_done(queue, raw, job_ids)
    report_figure(
        f"a new image during {JOBS} jobs ({left} were left when it came, "
        f"{_done_by_others(queue, job_ids, before)} were done by the new pods): none lost, none "
        "twice"
    )


def test_a_changed_secret(
    apply_service,
    raw: redis.Redis,
    redis_url: str,
    namespace: str,
    kube: Kube,
    operator: Operator,
    report_figure,
):
    keys = Keys(f"{namespace}.calls")
    _allow(raw, "first")
    _store(kube, namespace, "first")
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    service = apply_service(**SPEC, queue={"redis": access}, pools=POOLS)
    service.kube.create(program(GATED_PROGRAM), service.namespace)
    service.wait_for("Ready", "Idle", "True")
    with Client(RedisSettings(redis_url), keys.queue_id) as queue:
        job_ids = _send(queue)
        _wait_until_only_the_gated_are_left(queue, raw, job_ids)
        before = _uids(service)

        # As credentials are rotated: both hold, the Secret changes, the old one goes.
        _allow(raw, "second")
        service.patch({"stringData": {"password": "second"}}, "secret", "redis-access")
        left = _roll(service, raw, queue, before)
        raw.acl_setuser("fleet", enabled=True, passwords=["-first"])
        # Who is in need not say the password again, unless it is thrown out.
        raw.execute_command("CLIENT", "KILL", "USER", "fleet")
        _all_done(queue, raw, job_ids)
        by_others = _done_by_others(queue, job_ids, before)

        # KEDA has to be let in too, to see that there is nothing to do and then that there is.
        until(lambda: not service.pods(), "the fleet sleeps", SCALING["cooldownSeconds"] + 300)
        operator.wait_for_reconciles(2)
        assert service.condition("QueueReachable")["status"] == "True"
        assert service.condition("AutoscalerReady")["status"] == "True"
        began = time.monotonic()
        queue.submit(Job(id="later", audio=clips()[0][0]))
        assert dict(queue.wait(["later"], timeout_seconds=240))["later"].state is State.DONE
    report_figure(
        f"a changed secret during {JOBS} jobs ({left} were left when it came, {by_others} were "
        "done by the new pods): none lost, none twice; asleep and awake again with it in "
        f"{time.monotonic() - began:.0f} s"
    )


def _send(queue: Client) -> list[str]:
    audio, _ = clips()[0]
    job_ids = [f"job-{number}" for number in range(JOBS)]
    for number, job_id in enumerate(job_ids):
        metadata = {} if number < FREE else behind(GATE)
        queue.submit(Job(id=job_id, audio=audio, metadata=metadata))
    return job_ids


def _wait_until_only_the_gated_are_left(
    queue: Client, raw: redis.Redis, job_ids: list[str]
) -> None:
    assert len(dict(queue.wait(job_ids[:FREE], timeout_seconds=240))) == FREE
    stream = queue.keys.stream("normal")
    until(lambda: raw.xlen(stream) == JOBS - FREE, "the gated jobs are left")


def _roll(service: Service, raw: redis.Redis, queue: Client, before: set[str]) -> int:
    """Return how many jobs were left at the first sign of the rollout, once it is over."""
    until(lambda: before - _staying(service), "a pod has to go", 90)
    left: int = raw.xlen(queue.keys.stream("normal"))
    assert left == JOBS - FREE
    until(lambda: _ready(service) - before, "a new pod works", ROLLOUT_SECONDS)
    raw.set(f"gate:{GATE}", "open")
    until(lambda: before.isdisjoint(_uids(service)), "every pod has been replaced", ROLLOUT_SECONDS)
    return left


def _done_by_others(queue: Client, job_ids: list[str], before: set[str]) -> int:
    """Return how many jobs pods other than these have done; neither did all of them."""
    statuses = [queue.status(job_id) for job_id in job_ids]
    workers = [status.worker or "" for status in statuses if status is not None]
    by_old = sum(any(worker.startswith(uid) for uid in before) for worker in workers)
    assert by_old >= FREE
    assert len(workers) - by_old > 0
    return len(workers) - by_old


def _all_done(queue: Client, raw: redis.Redis, job_ids: list[str]) -> None:
    results = dict(queue.wait(job_ids, timeout_seconds=600))
    assert {result.state for result in results.values()} == {State.DONE}
    assert len(results) == JOBS
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the stream is empty")
    assert_invariants(raw, queue.keys, JOBS)


def _uids(service: Service) -> set[str]:
    return {pod["metadata"]["uid"] for pod in service.pods()}


def _staying(service: Service) -> set[str]:
    """Return the uids of the pods that nobody has asked to go."""
    return {
        pod["metadata"]["uid"]
        for pod in service.pods()
        if "deletionTimestamp" not in pod["metadata"]
    }


def _ready(service: Service) -> set[str]:
    return {
        pod["metadata"]["uid"]
        for pod in service.pods()
        if condition(pod, "Ready").get("status") == "True"
    }


def _images(service: Service) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in service.pods()}


def _allow(raw: redis.Redis, password: str) -> None:
    raw.acl_setuser(
        "fleet", enabled=True, passwords=[f"+{password}"], keys=["*"], commands=["+@all"]
    )


def _store(kube: Kube, namespace: str, password: str) -> None:
    kube.run(
        *("-n", namespace, "create", "secret", "generic", "redis-access"),
        *("--from-literal=username=fleet", f"--from-literal=password={password}"),
    )
