"""An upgrade, and then an end, of the operator under a fleet that works."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from hack import images
from support.chart.archives import renamed
from support.chart.helm import CHART, Helm, Json
from support.chart.releases import assert_nothing_left, everything_of
from support.cluster.clusters import Cluster, do_without
from support.cluster.fleet import run_redis
from support.cluster.kube import Kube, until
from support.operator.services import FAST, SERVICE, Service, manifest
from support.servers import assert_invariants
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.demo.clips import Clip, demo_clips, words_of
from whisperfleet.queue import RedisSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

RELEASE = "upgraded"
PREVIOUS = "0.0.9"
OPERATOR = "app.kubernetes.io/name=whisperfleet-operator"
# More than can be done while an operator is replaced.
JOBS = 400

_POD_SECONDS = 90.0
_WORDS_SECONDS = 400.0


@pytest.fixture
def previous(cluster: Cluster, helm: Helm, operator_image: str, tmp_path: Path) -> Path:
    """The chart as if it were of another version, whose operator is of another image."""
    if cluster.testbed is None:
        do_without(f"the cluster is {cluster.origin}, and its nodes have one operator image")
    archive = images.build("operator")
    cluster.load_image(renamed(archive, f"{operator_image}:{PREVIOUS}", tmp_path))
    version = ("--version", PREVIOUS, "--app-version", PREVIOUS)
    helm.run("package", str(CHART), *version, "--destination", str(tmp_path))
    return tmp_path / f"whisperfleet-{PREVIOUS}.tgz"


@pytest.fixture
def raw(cluster: Cluster, namespace: str, worker_image: str) -> Iterator[redis.Redis]:  # noqa: ARG001
    """A Redis of the namespace; its image comes with that of the worker."""
    run_redis(cluster.kube, namespace)
    with (
        cluster.reach(namespace, "redis", 6379) as url,
        RedisSettings(url).connect() as client,
    ):
        until(lambda: _answers(client), f"Redis answers at {url}")
        yield client


@pytest.fixture
def queue(cluster: Cluster, namespace: str, raw: redis.Redis) -> Iterator[Client]:  # noqa: ARG001
    with (
        cluster.reach(namespace, "redis", 6379) as url,
        Client(RedisSettings(url), f"{namespace}.{SERVICE}") as client,
    ):
        yield client


@pytest.fixture
def service(kube: Kube, namespace: str, worker_image: str, raw: redis.Redis) -> Service:  # noqa: ARG001
    """A service with one pod at the most, so that any other pod would be a rollout's."""
    kube.create(
        manifest(
            *(SERVICE, namespace, worker_image, "redis://redis:6379/0"),
            scaling=FAST,
            worker={"maxInFlight": 2, "drainSeconds": 10},
            pools=[{"name": "main", "replicas": {"max": 1}}],
        ),
        namespace,
    )
    return Service(kube, namespace)


@pytest.fixture
def installed(
    helm: Helm, kube: Kube, namespace: str, previous: Path, operator_image: str
) -> Iterator[None]:
    """The previous version, for the test's namespace alone."""
    helm.run(
        *("install", RELEASE, str(previous), "--namespace", namespace, "--wait"),
        *("--set", f"image.repository={operator_image},crds.install=false"),
        *("--set", f"watchNamespaces={{{namespace}}}"),
    )
    assert _operator_image(kube, namespace) == f"{operator_image}:{PREVIOUS}"
    yield
    helm.run("uninstall", RELEASE, "--namespace", namespace, "--ignore-not-found", "--wait")


@pytest.mark.usefixtures("installed")
def test_neither_an_upgrade_nor_an_end_disturbs_the_workers(
    helm: Helm,
    kube: Kube,
    service: Service,
    queue: Client,
    raw: redis.Redis,
    report_figure,
) -> None:
    service.wait_for("Ready", "Idle", "True")
    clip = max(demo_clips(), key=lambda clip: clip.seconds)
    jobs = [_submit(queue, clip, number) for number in range(JOBS)]
    until(lambda: _done(raw, queue) > 0, "the first job is done", _POD_SECONDS)
    before = _fleet(service)
    assert len(before) == 1
    templates = _pod_templates(service)

    helm.run(
        *("upgrade", RELEASE, str(CHART), "--namespace", service.namespace, "--wait"),
        "--reset-then-reuse-values",
    )
    assert _operator_image(kube, service.namespace) == images.OPERATOR.reference
    # What the new operator carries out, it has looked at.
    service.patch({"spec": {"scaling": {"cooldownSeconds": FAST["cooldownSeconds"] + 1}}})
    until(
        lambda: service.child("scaledobject")["spec"]["cooldownPeriod"] > FAST["cooldownSeconds"],
        "the new operator carries out a change",
        60,
    )
    at_upgrade = _done(raw, queue)
    assert at_upgrade < JOBS, "the fleet was done before the operator was: send more jobs"
    assert _fleet(service) == before
    assert _pod_templates(service) == templates

    assert everything_of(kube, RELEASE)
    helm.run("uninstall", RELEASE, "--namespace", service.namespace, "--wait")
    assert_nothing_left(kube, RELEASE, but=set())
    assert service.get()
    at_uninstall = _done(raw, queue)

    for result in dict(queue.wait(jobs, timeout_seconds=_WORDS_SECONDS)).values():
        assert result.state is State.DONE, result.error
        assert words_of(result.transcript.text) == list(clip.words)
    assert_invariants(raw, queue.keys, JOBS)
    assert _fleet(service) == before
    report_figure(
        f"of {JOBS} jobs {at_upgrade} were done when the new operator had taken over, "
        f"{at_uninstall} when it was uninstalled; one worker did them all"
    )


def _submit(queue: Client, clip: Clip, number: int) -> str:
    """Send a job; no two are of one tenant, or the second would have the first one's words."""
    return queue.submit(Job(audio=clip.path.read_bytes(), tenant=f"tenant-{number}"))


def _done(raw: redis.Redis, queue: Client) -> int:
    return int(raw.xlen(queue.keys.done))


def _fleet(service: Service) -> list[tuple[str, str, int]]:
    """Return of each worker's pod: who it is, of which template, how often it was started anew."""
    return [
        (
            pod["metadata"]["uid"],
            pod["metadata"]["labels"]["pod-template-hash"],
            sum(each["restartCount"] for each in pod["status"]["containerStatuses"]),
        )
        for pod in service.pods()
    ]


def _pod_templates(service: Service) -> set[str]:
    """Return the hashes of the pod templates that there have been, of a first POST among them."""
    labels = f"whisperfleet.io/service={service.name}"
    found = service.kube.run(
        *("-n", service.namespace, "get", "replicasets", "-l", labels, "-o", "json")
    )
    return {each["metadata"]["labels"]["pod-template-hash"] for each in json.loads(found)["items"]}


def _operator_image(kube: Kube, namespace: str) -> str:
    """Return the image of the operator's one pod."""
    pods: list[Json] = [
        pod
        for pod in kube.list("Pod", namespace, OPERATOR)
        if "deletionTimestamp" not in pod["metadata"]
    ]
    (pod,) = pods
    image: str = pod["spec"]["containers"][0]["image"]
    return image


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
