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
from support.cluster.fleet import behind, run_redis
from support.cluster.kube import Kube, until
from support.operator.programs import GATED_PROGRAM, program, template
from support.operator.services import FAST, POOL, SERVICE, Service, manifest
from support.servers import assert_invariants
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.demo.clips import demo_clips, words_of
from whisperfleet.queue import RedisSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

RELEASE = "upgraded"
PREVIOUS = "0.0.9"
OPERATOR = "app.kubernetes.io/name=whisperfleet-operator"
# How many are sent before the upgrade, after it, and after the end.
JOBS = 30
GATE = "the end"

CLIP = max(demo_clips(), key=lambda clip: clip.seconds)

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
            pools=[{"name": POOL, "replicas": {"max": 1}, "template": template()}],
        ),
        namespace,
    )
    kube.create(program(GATED_PROGRAM), namespace)
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
    # As long as it is not done the fleet stays awake, however long an upgrade takes.
    (kept,) = _submit(queue, 1, behind(GATE))
    first = _submit(queue, JOBS)
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
    _assert_done(queue, first)
    second = _submit(queue, JOBS)
    until(lambda: _done(raw, queue) > JOBS, "the fleet works beside the new operator", _POD_SECONDS)
    assert _fleet(service) == before
    assert _pod_templates(service) == templates

    assert everything_of(kube, RELEASE)
    helm.run("uninstall", RELEASE, "--namespace", service.namespace, "--wait")
    assert_nothing_left(kube, RELEASE, but=set())
    assert service.get()
    at_uninstall = _done(raw, queue)

    third = _submit(queue, JOBS)
    raw.set(f"gate:{GATE}", "open")
    _assert_done(queue, [*second, *third, kept])
    status = queue.status(kept)
    assert status is not None
    assert (status.epoch, status.releases) == (1, 0)
    assert_invariants(raw, queue.keys, 3 * JOBS + 1)
    assert _fleet(service) == before
    report_figure(
        f"of {3 * JOBS + 1} jobs {at_uninstall} were done when the operator was uninstalled after "
        "an upgrade; one worker did them all"
    )


def _submit(queue: Client, count: int, metadata: dict[str, str] | None = None) -> list[str]:
    audio = CLIP.path.read_bytes()
    return [queue.submit(Job(audio=audio, metadata=metadata or {})) for _ in range(count)]


def _assert_done(queue: Client, jobs: list[str]) -> None:
    for result in dict(queue.wait(jobs, timeout_seconds=_WORDS_SECONDS)).values():
        assert result.state is State.DONE, result.error
        assert words_of(result.transcript.text) == list(CLIP.words)


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
