"""Pods that each need a whole GPU, of which the node has two."""

from collections.abc import Callable, Iterator

import pytest

from hack.testbed import Testbed
from support.cluster.fleet import Fleet, Shape
from support.cluster.kube import Json, Kube, condition, until

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900, func_only=True)]

GPU = "nvidia.com/gpu"
JOBS = ("call-0", "call-1", "call-2")


@pytest.fixture
def gpus(testbed: Testbed) -> Iterator[Testbed]:
    """The testbed with two healthy GPUs, before the test and after it."""
    testbed.set_gpus(2)
    yield testbed
    testbed.set_gpus(2)


def jobs_by_device(fleet: Fleet) -> dict[str, str]:
    """Return which job runs on which GPU: what its container was told, by the device's id."""
    told = ("python", "-c", "import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])")
    devices = {}
    for job in running(fleet):
        pod = fleet.pod_of(job)["metadata"]["name"]
        devices[fleet.kube.run("exec", "-n", fleet.namespace, pod, "--", *told).strip()] = job
    return devices


def waiting_pods(fleet: Fleet) -> list[Json]:
    """Return the pods that no node can take, for want of a GPU."""
    told = [(pod, condition(pod, "PodScheduled")) for pod in fleet.pods()]
    return [
        pod
        for pod, scheduled in told
        if scheduled.get("reason") == "Unschedulable"
        and f"Insufficient {GPU}" in scheduled["message"]
    ]


def three_jobs_on_two_gpus(make_fleet: Callable[[Shape], Fleet]) -> Fleet:
    fleet = make_fleet(
        Shape(max_pods=3, in_flight=1, jobs_per_pod=1, gpus=1, drain_seconds=1, gated=True)
    )
    fleet.submit_gated(*JOBS)
    until(lambda: len(waiting_pods(fleet)) == 1, "a third pod waits for a GPU", 60)
    until(lambda: len(running(fleet)) == 2, "two jobs run", 60)
    return fleet


def running(fleet: Fleet) -> list[str]:
    """Return the jobs that some worker has begun."""
    begun = [(job, fleet.client.status(job)) for job in JOBS]
    return [job for job, status in begun if status and status.state == "running"]


@pytest.mark.usefixtures("gpus")
def test_a_third_pod_waits_for_one_of_two_gpus(make_fleet: Callable[[Shape], Fleet]) -> None:
    fleet = three_jobs_on_two_gpus(make_fleet)
    assert jobs_by_device(fleet).keys() == {"gpu-0", "gpu-1"}
    assert len(fleet.pods()) == 3

    fleet.open_gates(*JOBS)

    fleet.assert_done(*JOBS)
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=3)


def test_the_work_on_a_gpu_that_fails_is_done_elsewhere(
    make_fleet: Callable[[Shape], Fleet], gpus: Testbed, kube: Kube
) -> None:
    """The kubelet lets a running pod keep a GPU that is no longer healthy: it only gives it to no
    other and says so in the pod's status. Taking the pod away is left to whoever mends nodes; here
    the test does it, with an eviction as any of them would send.
    """
    fleet = three_jobs_on_two_gpus(make_fleet)
    jobs = jobs_by_device(fleet)
    job, healthy = jobs["gpu-0"], fleet.status(jobs["gpu-1"]).worker
    name = fleet.pod_of(job)["metadata"]["name"]

    gpus.set_gpus(2, unhealthy=[0])
    until(lambda: health_of_gpu(kube, name, fleet.namespace) == "Unhealthy", "the pod says so")
    assert fleet.status(job).epoch == 1, "the kubelet has not touched the pod"
    kube.evict(name, fleet.namespace)
    until(lambda: fleet.status(job).releases == 1, "the job is handed back")
    until(lambda: len(waiting_pods(fleet)) == 2, "the pod's replacement waits for a GPU too")
    fleet.open_gates(*JOBS)

    fleet.assert_done(*JOBS)
    assert fleet.status(job).worker == healthy
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=3)


def health_of_gpu(kube: Kube, pod: str, namespace: str) -> str:
    """Return what the kubelet says of the GPU of a pod's one container."""
    (container,) = kube.get("Pod", pod, namespace)["status"]["containerStatuses"]
    found = [
        resource["health"]
        for held in container.get("allocatedResourcesStatus", ())
        if held["name"] == GPU
        for resource in held["resources"]
    ]
    return found[0] if found else "unknown"
