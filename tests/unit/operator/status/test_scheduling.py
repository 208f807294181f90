"""Why no node takes a pod: one cause, one remedy, from the scheduler's own words."""

import pytest

from support.operator.world import service
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.status.scheduling import unschedulable

GPU = "nvidia.com/gpu"
PREEMPTION = (
    "no new claims to deallocate, preemption: 0/9 nodes are available: 9 Preemption is not helpful "
    "for scheduling."
)


def pool(**changes) -> Pool:
    return service(pools=[{"name": "main", "replicas": {"max": 3}, **changes}]).spec.pools[0]


WITH_GPU = pool(gpu={"preset": "gke-l4"})
CPU = pool()


def _told(nodes: str, a_pool: Pool = WITH_GPU) -> tuple[Reason, str]:
    problem = unschedulable("calls-main-1", a_pool, f"{nodes}. {PREEMPTION}")
    return problem.reason, problem.message


@pytest.mark.parametrize(
    "nodes",
    [
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu",
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory, "
            "3 Insufficient nvidia.com/gpu"
        ),
        (
            "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's "
            "node affinity/selector"
        ),
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector",
        # The control plane is tainted nearly everywhere.
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint "
            "{node-role.kubernetes.io/control-plane: }, 2 Insufficient nvidia.com/gpu"
        ),
        "no nodes available to schedule pods",
    ],
)
def test_the_gpu_is_what_lacks(nodes: str):
    reason, message = _told(nodes)
    assert reason is Reason.NO_GPU_AVAILABLE
    assert "waits for 1 nvidia.com/gpu" in message


@pytest.mark.parametrize(
    ("nodes", "remedy"),
    [
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient nvidia.com/gpu",
            "too little memory free: lower spec.worker.resources.requests.memory",
        ),
        (
            (
                "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
                "2 Insufficient nvidia.com/gpu"
            ),
            "lower spec.worker.resources.requests.cpu and spec.worker.resources.requests.memory",
        ),
        (
            "0/3 nodes are available: 1 Too many pods, 2 Insufficient nvidia.com/gpu",
            "as many pods as they may",
        ),
        (
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient nvidia.com/gpu",
            "1 of 3 nodes are cordoned: uncordon one with a GPU",
        ),
        (
            (
                "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated "
                "taint {node.kubernetes.io/unreachable: }"
            ),
            "1 of 2 nodes are not well",
        ),
        (
            (
                "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, "
                "2 Insufficient nvidia.com/gpu"
            ),
            "another zone",
        ),
        ("0/3 nodes are available: 3 node(s) had no available volume zone", "another zone"),
        (
            "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind",
            "kubectl describe pvc",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "models" not found',
            (
                "the PersistentVolumeClaim models does not exist: create it, or correct "
                "spec.model.source.volumeClaim.claimName"
            ),
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims",
            "give the claim a storageClassName",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "models" is being deleted',
            "once it is gone",
        ),
        (
            (
                '0/1 nodes are available: persistentvolumeclaim "models" bound to non-existent '
                'persistentvolume "pv"'
            ),
            "is lost",
        ),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint(s)",
            "add it to the pool's tolerations",
        ),
    ],
)
def test_something_else_lacks(nodes: str, remedy: str):
    reason, message = _told(nodes)
    assert reason is Reason.UNSCHEDULABLE
    assert remedy in message
    assert "add such nodes, " not in message
    # The scheduler's own words are there too.
    assert nodes in message


@pytest.mark.parametrize(
    ("nodes", "remedy"),
    [
        ("0/1 nodes are available: 1 Insufficient memory", "lower spec.worker.resources.requests"),
        ("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable", "lower"),
        ("0/1 nodes are available: 1 node(s) were unschedulable", "uncordon one that fits"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {team: a}", "tolerations"),
        ("0/1 nodes are available: 1 node(s) didn't satisfy something of the future", "add one"),
    ],
)
def test_a_pool_without_gpus(nodes: str, remedy: str):
    reason, message = _told(nodes, CPU)
    assert reason is Reason.UNSCHEDULABLE
    assert remedy in message


def test_a_selector_of_ones_own():
    nodes = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector"
    reason, message = _told(nodes, pool(nodeSelector={"zone": "wset"}))
    assert reason is Reason.UNSCHEDULABLE
    assert "nodeSelector zone=wset: correct it" in message


def test_a_taint_beside_a_gpu_that_lacks_is_mentioned():
    nodes = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated "
    reason, message = _told(f"{nodes}taint(s)")
    assert reason is Reason.NO_GPU_AVAILABLE
    assert "tolerate it in the pool's tolerations" in message
