"""The demo on a cluster: nothing runs, jobs come, a pod wakes, words come, nothing runs again."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from hack import images
from hack.demo_cluster.errors import DemoError
from hack.demo_cluster.kubectl import Kubectl, Manifest, read_manifests
from hack.demo_cluster.operator import bring_operator
from hack.demo_cluster.signals import undisturbed
from hack.demo_cluster.steps import Steps
from hack.images.recipes import ROOT
from hack.testbed import Testbed
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.clips import Clip
from whisperfleet.demo.run import Heard
from whisperfleet.queue import RedisSettings

__all__ = ["NAMESPACE", "DemoRun", "conditions_of", "run_demo"]

NAMESPACE: Final = "whisperfleet-demo"

_SERVICE: Final = "demo"
_SERVICE_MANIFEST: Final = Path(__file__).with_name("service.yaml")
_REDIS_MANIFEST: Final = ROOT / "hack/testbed/manifests/redis.yaml"
_RESOURCE: Final = "transcriptionservices.whisperfleet.io"
_PODS: Final = f"whisperfleet.io/service={_SERVICE}"

_CONDITION_LINES: Final = (
    '{range .status.conditions[*]}{.type}={.status}/{.reason}: {.message}{"\\n"}{end}'
)

_REDIS_SECONDS: Final = 120.0
_IDLE_SECONDS: Final = 90.0
_WAKE_SECONDS: Final = 180.0
_WORDS_SECONDS: Final = 180.0
_GONE_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a demo showed.

    Seconds: `wake` from the first XADD until a pod is ready, `words` from there until the last
    text, `sleep` from there until no pod is left.
    """

    heard: tuple[Heard, ...]
    wake_seconds: float
    words_seconds: float
    sleep_seconds: float

    @property
    def wrong_words(self) -> int:
        """How many words of all clips are not what was said."""
        return sum(heard.wrong_words for heard in self.heard)


def run_demo(
    clips: Sequence[Clip], steps: Steps, hear: Callable[[Heard], None], *, keep: bool = False
) -> DemoRun:
    """Bring up what is missing, put the clips through it, and take away what was brought.

    `hear` is told of each text as it comes. With `keep` everything stays for a look. Raises
    DemoError, and what the testbed and the images raise.
    """
    testbed = Testbed()
    kubectl = Kubectl(testbed.kubectl, testbed.kubeconfig)
    with _cleared_away(steps, keep=keep) as left:
        with steps.step("the cluster is up"):
            if not testbed.exists:
                left.callback(testbed.down)
            testbed.up()
        with steps.step("its images are built and loaded"):
            for archive in (
                images.build("redis"),
                images.build("worker"),
                images.build("operator"),
            ):
                testbed.load_image(archive)
                steps.check()
        with steps.step("the operator is ready"):
            _make_namespace(kubectl, left)
            bring_operator(kubectl, NAMESPACE, left)
        with steps.step("Redis answers"):
            settings = _run_redis(kubectl, steps)
        with _said_by_the_cluster(kubectl):
            with steps.step("the service is applied: ready, and not a pod"):
                _apply_service(kubectl, steps, left)
            with Client(settings, f"{NAMESPACE}.{_SERVICE}") as client:
                return _show(client, clips, kubectl, steps, hear)


@contextmanager
def _cleared_away(steps: Steps, *, keep: bool) -> Iterator[ExitStack]:
    """Yield a stack that is undone however the part ends, without interruption."""
    left = ExitStack()
    try:
        yield left
    finally:
        if not keep:
            with undisturbed(), steps.console.status("taking away what was brought"):
                left.close()


def _make_namespace(kubectl: Kubectl, left: ExitStack) -> None:
    namespace: Manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    if kubectl.exists(namespace):
        raise DemoError(
            f"the cluster has a namespace {NAMESPACE} already, of a demo that runs or was kept; "
            f"wait for it, or end it with: {kubectl.told('delete', 'namespace', NAMESPACE)}"
        )
    left.callback(kubectl.delete, namespace)
    kubectl.apply([namespace])


def _run_redis(kubectl: Kubectl, steps: Steps) -> RedisSettings:
    """Run a Redis and return how this machine, which is the node, reaches its Service."""
    kubectl.apply(read_manifests(_REDIS_MANIFEST), NAMESPACE)
    address = kubectl.run(
        *("-n", NAMESPACE, "get", "service", "redis"), *("-o", "jsonpath={.spec.clusterIP}")
    )
    settings = RedisSettings(f"redis://{address}:6379/0")
    with settings.connect() as client:
        what = f"Redis in the pod redis-0 answers at {address}:6379; see " + kubectl.told(
            "-n", NAMESPACE, "describe", "pod", "redis-0"
        )
        steps.until(lambda: _answers(client), what, _REDIS_SECONDS)
    return settings


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def _apply_service(kubectl: Kubectl, steps: Steps, left: ExitStack) -> None:
    (service,) = read_manifests(_SERVICE_MANIFEST)
    service["spec"]["model"]["image"] = images.WORKER.reference
    service["metadata"]["namespace"] = NAMESPACE
    left.callback(_remove_service, kubectl, service, steps)
    kubectl.apply([service])
    steps.until(
        lambda: any(_says(each, "Ready=True/Idle") for each in kubectl.items(_RESOURCE, NAMESPACE)),
        "the service is idle",
        _IDLE_SECONDS,
    )
    if pods := kubectl.items("pods", NAMESPACE, _PODS):
        raise DemoError(f"no job was sent, and there are {len(pods)} pods of the service")


def _remove_service(kubectl: Kubectl, service: Manifest, steps: Steps) -> None:
    kubectl.delete(service)
    # KEDA has to take its finalizer away while its object's namespace is whole.
    calm = Steps(steps.console, check=lambda: None)
    calm.until(
        lambda: not kubectl.items("scaledobjects.keda.sh", NAMESPACE),
        f"KEDA lets go of the ScaledObject of {NAMESPACE}",
        _GONE_SECONDS,
    )


def _show(
    client: Client,
    clips: Sequence[Clip],
    kubectl: Kubectl,
    steps: Steps,
    hear: Callable[[Heard], None],
) -> DemoRun:
    began = time.monotonic()
    jobs = {client.submit(Job(audio=clip.path.read_bytes())): clip for clip in clips}
    with steps.step(f"{len(jobs)} jobs are sent to {client.keys.stream('normal')}: a pod wakes"):
        steps.until(lambda: _has_ready_pod(kubectl), "a pod of the service is ready", _WAKE_SECONDS)
    woke = time.monotonic()
    with steps.step("every job has its words"):
        heard = _hear_all(client, jobs, steps, hear)
    ended = time.monotonic()
    with steps.step("the queue is empty, and no pod is left"):
        steps.until(
            lambda: _sleeps(kubectl),
            "the service is at zero pods again",
            _cooldown() + _GONE_SECONDS,
        )
    return DemoRun(heard, woke - began, ended - woke, time.monotonic() - ended)


def _hear_all(
    client: Client, jobs: dict[str, Clip], steps: Steps, hear: Callable[[Heard], None]
) -> tuple[Heard, ...]:
    deadline = time.monotonic() + _WORDS_SECONDS
    heard: dict[str, Heard] = {}
    while waiting := jobs.keys() - heard.keys():
        steps.check()
        try:
            for job_id, result in client.wait(waiting, _LOOK_SECONDS):
                heard[job_id] = Heard(jobs[job_id], result)
                hear(heard[job_id])
        except TimeoutError:
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{len(waiting)} of {len(jobs)} jobs have no words after {_WORDS_SECONDS:g} s"
                ) from None
    return tuple(heard[job_id] for job_id in jobs)


def _has_ready_pod(kubectl: Kubectl) -> bool:
    pods = kubectl.items("pods", NAMESPACE, _PODS)
    return any(_says(pod, "Ready=True") for pod in pods)


def _says(thing: Manifest, condition: str) -> bool:
    return any(line.startswith(condition) for line in conditions_of(thing).splitlines())


def _sleeps(kubectl: Kubectl) -> bool:
    (deployment,) = kubectl.items("deployments", NAMESPACE, _PODS)
    return deployment["spec"]["replicas"] == 0 and not kubectl.items("pods", NAMESPACE, _PODS)


def _cooldown() -> float:
    (service,) = read_manifests(_SERVICE_MANIFEST)
    return float(service["spec"]["scaling"]["cooldownSeconds"])


def conditions_of(thing: Manifest) -> str:
    """Return the conditions of an object as a person reads them, one a line."""
    return "\n".join(
        "=".join((each["type"], each["status"]))
        + (f"/{each['reason']}" if each.get("reason") else "")
        + (f": {each['message']}" if each.get("message") else "")
        for each in thing.get("status", {}).get("conditions", ())
    )


@contextmanager
def _said_by_the_cluster(kubectl: Kubectl) -> Iterator[None]:
    """Add to an error what the service and its pods say, before they are gone."""
    try:
        yield
    except DemoError as error:
        look = ("-n", NAMESPACE, "get", _RESOURCE, _SERVICE)
        conditions = kubectl.show(*look, "-o", f"jsonpath={_CONDITION_LINES}")
        pods = kubectl.show("-n", NAMESPACE, "get", "pods", "-o", "wide") or "none\n"
        raise DemoError(
            f"{error}\nThe conditions of the service:\n{conditions}Pods:\n{pods}"
            "Run it again with --keep and look with:\n"
            f"  {kubectl.told('-n', NAMESPACE, 'describe', _RESOURCE, _SERVICE)}\n"
            f"  {kubectl.told('-n', NAMESPACE, 'logs', '-l', _PODS)}\n"
            f"  {kubectl.told('-n', 'whisperfleet-system', 'logs', 'deploy/whisperfleet-operator')}"
        ) from error
