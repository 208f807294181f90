"""A fleet of one namespace: Redis, workers at zero replicas, and what wakes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Final

import redis

from support.audio.files import clips
from support.cluster.kube import Json, Kube, condition, load_manifests, until
from support.servers import Books, assert_invariants
from whisperfleet.client import Client, JobStatus
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State

MANIFESTS: Final = Path(__file__).with_name("manifests")
REDIS_MANIFEST: Final = Path(__file__).parents[3] / "hack/testbed/manifests/redis.yaml"
GATED_WORKER: Final = Path(__file__).parents[1] / "programs" / "gated_worker.py"
WORKERS: Final = "app.kubernetes.io/component=worker"

_PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
# A pod's images are on its node; starting Python and loading the small model takes the rest.
POD_SECONDS: Final = 60.0
# KEDA looks after five objects at a time, and waits for the Redis of one that is gone.
KEDA_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Shape:
    """How a fleet is to be.

    A pod holds `in_flight` jobs and there shall be one for each `jobs_per_pod`, up to `max_pods`.
    A worker that must go gives its jobs `drain_seconds`, of which the last 5 are for handing back.
    `gated` workers know `Fleet.submit_gated`. `signal` is the manifest of the ScaledObject.
    """

    signal: str = "scaledobject.yaml"
    polling_seconds: int = 1
    cooldown_seconds: int = 5
    max_pods: int = 3
    in_flight: int = 2
    jobs_per_pod: int = 2
    drain_seconds: int = 20
    gpus: int = 0
    gated: bool = False


# What KEDA says of a fleet that it lets sleep; see `activity`.
IDLE: Final = ("False", "ScalerNotActive")


@dataclass(frozen=True)
class Fleet:
    """A fleet that sleeps until it gets its first job."""

    kube: Kube
    namespace: str
    shape: Shape
    image: str
    client: Client
    raw: redis.Redis

    @property
    def keys(self) -> Keys:
        return self.client.keys

    @cached_property
    def _values(self) -> dict[str, str]:
        return {
            **{name: str(value) for name, value in vars(self.shape).items()},
            "image": self.image,
            "queue": self.keys.queue_id,
            "redis": f"redis.{self.namespace}.svc.cluster.local:6379",
        }

    def deploy(self) -> None:
        """Create the workers and what wakes them; return once KEDA has found nothing to do."""
        (deployment,) = self.manifest("worker.yaml")
        pod = deployment["spec"]["template"]["spec"]
        if self.shape.gpus:
            pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = self.shape.gpus
        if self.shape.gated:
            self.kube.create(_program(), self.namespace)
            pod["volumes"].append({"name": "program", "configMap": {"name": "program"}})
            (worker,) = pod["containers"]
            worker["volumeMounts"].append({"name": "program", "mountPath": "/program"})
            worker["command"] = ["python", f"/program/{GATED_WORKER.name}"]
            worker["args"] = ["worker"]
        self.kube.create(deployment, self.namespace)
        (scaler,) = self.manifest(self.shape.signal)
        self.kube.create(scaler, self.namespace)
        # Before that KEDA is busy with the object itself.
        until(lambda: activity(self.scaler()) == IDLE, "KEDA has looked", KEDA_SECONDS)

    def manifest(self, name: str) -> list[Json]:
        return load_manifests(Template((MANIFESTS / name).read_text()).substitute(self._values))

    def scaler(self) -> Json:
        return self.kube.get("ScaledObject", "worker", self.namespace)

    def pause_at_zero(self) -> None:
        """Let KEDA take every pod away and look at nothing."""
        self._annotate_scaler(_PAUSED, "0")

    def resume(self) -> None:
        """Let KEDA look at the streams again."""
        self._annotate_scaler(_PAUSED, None)
        until(
            lambda: condition(self.scaler(), "Paused").get("status") == "False",
            "KEDA resumes",
            KEDA_SECONDS,
        )

    def _annotate_scaler(self, name: str, value: str | None) -> None:
        change = {"metadata": {"annotations": {name: value}}}
        self.kube.patch("ScaledObject", "worker", self.namespace, change)

    def lease_seconds(self) -> float:
        """Return for how long a worker has a job without a sign of life."""
        deployment = self.kube.get("Deployment", "worker", self.namespace)
        (worker,) = deployment["spec"]["template"]["spec"]["containers"]
        settings = {each["name"]: each.get("value") for each in worker["env"]}
        return float(settings["WHISPERFLEET_LEASE_SECONDS"])

    def replicas(self) -> int:
        deployment = self.kube.get("Deployment", "worker", self.namespace)
        return int(deployment["spec"].get("replicas", 1))

    def pods(self) -> list[Json]:
        """Return the pods of workers that are not on their way out."""
        pods = self.kube.list("Pod", self.namespace, WORKERS)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self) -> list[Json]:
        return [pod for pod in self.pods() if condition(pod, "Ready").get("status") == "True"]

    def pod_of(self, job_id: str) -> Json:
        """Return the pod that runs a job: its worker's name begins with the pod's UID."""
        worker = self.status(job_id).worker or ""
        pods = self.kube.list("Pod", self.namespace, WORKERS)
        return next(pod for pod in pods if worker.startswith(pod["metadata"]["uid"]))

    def wait_until_awake(self, pods: int = 1) -> None:
        until(lambda: len(self.ready_pods()) >= pods, f"{pods} pods are ready", POD_SECONDS)

    def wait_until_asleep(self) -> None:
        """Return once no pod is left, nor one on its way out."""
        until(lambda: self.replicas() == 0, "zero replicas are asked for", POD_SECONDS)
        until(lambda: not self.kube.list("Pod", self.namespace, WORKERS), "the pods are gone")

    def submit_gated(self, *job_ids: str) -> None:
        """Send jobs that take until their gates are open."""
        for job_id in job_ids:
            self.client.submit(Job(id=job_id, audio=clips()[0][0], metadata=behind(job_id)))

    def open_gates(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self.raw.set(f"gate:{job_id}", "open")

    def status(self, job_id: str) -> JobStatus:
        status = self.client.status(job_id)
        assert status is not None, f"{job_id} is not known"
        return status

    def wait_until_begun(self, *job_ids: str, epoch: int = 1) -> None:
        """Return once each of the jobs has been begun so often."""

        def begun(job_id: str) -> bool:
            status = self.client.status(job_id)
            return status is not None and status.epoch >= epoch

        until(lambda: all(map(begun, job_ids)), f"{job_ids} begin, epoch {epoch}", POD_SECONDS)

    def results(self, job_ids: Sequence[str], seconds: float = 60) -> dict[str, Result]:
        results = dict(self.client.wait(job_ids, timeout_seconds=seconds))
        assert results.keys() == set(job_ids)
        return results

    def assert_done(self, *job_ids: str) -> None:
        """Every job has given the words of its clip, once."""
        for job_id, result in self.results(job_ids).items():
            assert result.state is State.DONE, (job_id, result.error)
            assert result.transcript is not None
            assert result.transcript.text == clips()[0][1]

    def assert_invariants(self, accepted: int) -> Books:
        return assert_invariants(self.raw, self.keys, accepted)


def behind(gate: str) -> dict[str, str]:
    """Return the metadata of a job that waits for a gate; see `Fleet.open_gates`."""
    return {"gate": f"gate:{gate}"}


def activity(scaler: Json) -> tuple[str, str]:
    """Return whether KEDA sees work, and why it says so."""
    told = condition(scaler, "Active")
    return told.get("status", ""), told.get("reason", "")


def _program() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "program"},
        "data": {GATED_WORKER.name: GATED_WORKER.read_text()},
    }


@contextmanager
def own_namespace(kube: Kube, name: str) -> Iterator[str]:
    """A namespace that lets nobody be more than a plain process."""
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
    )
    try:
        yield name
    finally:
        # KEDA has to take its finalizer away: first, while everything that it asks for is there.
        if kube.exists("CustomResourceDefinition", "scaledobjects.keda.sh"):
            kube.delete("ScaledObject", "worker", name)
        kube.delete("Namespace", name)


def run_redis(kube: Kube, namespace: str) -> None:
    """Start a Redis that keeps what it has acknowledged, and return once it answers."""
    for manifest in load_manifests(REDIS_MANIFEST.read_text()):
        kube.create(manifest, namespace)
    until(lambda: is_ready(kube, "redis-0", namespace), "Redis is ready", POD_SECONDS)


def is_ready(kube: Kube, pod: str, namespace: str) -> bool:
    if not kube.exists("Pod", pod, namespace):
        return False
    return condition(kube.get("Pod", pod, namespace), "Ready").get("status") == "True"


def moment(timestamp: str) -> datetime:
    """Read a timestamp of the API server: whole seconds in objects, microseconds in its log."""
    return datetime.fromisoformat(timestamp)
