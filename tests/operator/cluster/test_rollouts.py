"""A change rolls the workers while two hundred jobs run, and none is lost or seen twice."""

import pytest
import redis

from audio_files import clips
from cluster.kube import Kube, until
from hack.testbed import Testbed
from operating.process import Operator
from operating.services import POOL, Service
from servers import assert_invariants
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
ROLLOUT_SECONDS = 400

# On a busy machine a worker starts slowly, and one that is started anew for it starts no faster.
SCALING = {"pollingSeconds": 1, "startupSeconds": 180, "cooldownSeconds": 181}
SPEC = {"scaling": SCALING, "worker": {"maxInFlight": 2, "drainSeconds": 10}}


# Each of the jobs shall take its time, though the audio is the same.
POOLS = [
    {
        "name": POOL,
        "replicas": {"max": 2},
        "template": {"env": [{"name": "WHISPERFLEET_CACHE_SECONDS", "value": "0"}]},
    }
]


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
    service.wait_for("Ready", "Idle", "True")
    job_ids = _send(queue)
    _wait_until_some_are_done(queue, job_ids)

    service.patch({"spec": {"model": {"image": next_image}}})
    until(lambda: _images(service) == {next_image}, "every pod is the new one's", ROLLOUT_SECONDS)
    left = raw.xlen(queue.keys.stream("normal"))
    _all_done(queue, raw, job_ids)
    report_figure(
        f"a new image during {JOBS} jobs ({left} were left after it): none lost, none twice"
    )


def test_a_changed_secret(
    apply_service, raw: redis.Redis, redis_url: str, namespace: str, kube: Kube, operator: Operator
):
    keys = Keys(f"{namespace}.calls")
    _allow(raw, "first")
    _store(kube, namespace, "first")
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    service = apply_service(**SPEC, queue={"redis": access}, pools=POOLS)
    service.wait_for("Ready", "Idle", "True")
    settings = RedisSettings(redis_url)
    with Client(settings, keys.queue_id) as queue:
        job_ids = _send(queue)
        _wait_until_some_are_done(queue, job_ids)
        before = {pod["metadata"]["uid"] for pod in service.pods()}

        # As credentials are rotated: both hold, the Secret changes, the old one goes.
        _allow(raw, "second")
        service.patch({"stringData": {"password": "second"}}, "secret", "redis-access")
        until(
            lambda: before.isdisjoint(pod["metadata"]["uid"] for pod in service.pods()),
            "every pod has been replaced",
            ROLLOUT_SECONDS,
        )
        raw.acl_setuser("fleet", enabled=True, passwords=["-first"])
        _all_done(queue, raw, job_ids)
    operator.wait_for_looks(2)
    assert service.condition("QueueReachable")["status"] == "True"


def _send(queue: Client) -> list[str]:
    audio, _ = clips()[0]
    job_ids = [f"job-{number}" for number in range(JOBS)]
    for job_id in job_ids:
        queue.submit(Job(id=job_id, audio=audio))
    return job_ids


def _wait_until_some_are_done(queue: Client, job_ids: list[str]) -> None:
    dict(queue.wait(job_ids[:1], timeout_seconds=240))
    assert any(_is_done(queue, job_id) for job_id in job_ids)


def _is_done(queue: Client, job_id: str) -> bool:
    status = queue.status(job_id)
    return status is not None and status.state is State.DONE


def _all_done(queue: Client, raw: redis.Redis, job_ids: list[str]) -> None:
    results = dict(queue.wait(job_ids, timeout_seconds=600))
    assert {result.state for result in results.values()} == {State.DONE}
    assert len(results) == JOBS
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the stream is empty")
    assert_invariants(raw, queue.keys, JOBS)


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
