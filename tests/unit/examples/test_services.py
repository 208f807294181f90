"""Each example fits its nodes, and keeps off those that it is not meant for."""

import re
from pathlib import Path

import pytest

from support.examples import clouds
from support.examples.clouds import Nodes
from support.examples.files import EXAMPLES, FILES, named, service
from support.examples.scheduler import may_run
from whisperfleet_operator.plan.gpu_nodes import placement

GPU = [file for file in FILES if file.parent.name != "cpu"]
SPOT = [file for file in FILES if file.stem.endswith("-spot")]
POOLS = {"eks": clouds.eks(), "gke": clouds.gke(), "aks": clouds.aks()}


def own_nodes(file: Path) -> Nodes:
    """The node pool of the example: of its name, but for what a cloud forbids in names."""
    (found,) = (
        nodes
        for nodes in POOLS[file.parent.name]
        if nodes.name.replace("-", "") == file.stem.replace("-", "")
    )
    return found


def test_every_cloud_has_its_gpus_on_demand_and_on_spot():
    names = [str(file.relative_to(EXAMPLES).with_suffix("")) for file in GPU]
    assert names == [
        f"{cloud}/{gpu}{spot}"
        for cloud, gpus in (("aks", "a100 t4"), ("eks", "g4dn g5"), ("gke", "l4 t4"))
        for gpu in gpus.split()
        for spot in ("-spot", "")
    ]
    assert len(GPU) == sum(len(pools) for pools in POOLS.values())


@named(GPU)
def test_it_runs_on_its_nodes_and_on_no_others_of_its_cloud(file: Path):
    (pool,) = service(file).spec.pools
    pod = placement(pool)
    for nodes in POOLS[file.parent.name]:
        fits = [may_run(pod, labels, nodes.taints) for labels in nodes.labels]
        assert set(fits) == {nodes == own_nodes(file)}, nodes.name


@named(GPU)
def test_a_pod_without_gpu_keeps_off_its_nodes(file: Path):
    nodes = own_nodes(file)
    (pool,) = service(EXAMPLES / "cpu/service.yaml").spec.pools
    assert not any(may_run(placement(pool), labels, nodes.taints) for labels in nodes.labels)


@named(GPU)
def test_its_nodes_begin_at_zero(file: Path):
    assert own_nodes(file).start == 0


@pytest.mark.parametrize("nodes", POOLS["aks"], ids=lambda nodes: nodes.name)
def test_nvidias_device_plugin_runs_on_the_nodes_of_aks(nodes: Nodes):
    """Its chart selects nodes; without it a node has no GPU to give."""
    (words,) = clouds.commands(EXAMPLES / "aks/README.md", "helm upgrade --install nvdp")
    plugin = clouds.device_plugin(words)
    assert all(may_run(plugin, labels, nodes.taints) for labels in nodes.labels)


@named(FILES)
def test_it_sleeps_without_work_and_says_what_it_may_cost(file: Path):
    (pool,) = service(file).spec.pools
    assert pool.replicas.min == 0
    assert pool.replicas.max >= 2


# How long before its end a node of each cloud is told, less what a worker needs after its drain.
NOTICE_SECONDS = {"eks": 120, "gke": 15, "aks": 30}


@named(SPOT)
def test_on_spot_a_worker_drains_within_the_notice(file: Path):
    assert own_nodes(file).is_spot
    assert service(file).spec.worker.drain_seconds < NOTICE_SECONDS[file.parent.name]


def test_the_tables_and_pages_name_every_file():
    index = (EXAMPLES / "README.md").read_text("utf-8")
    linked = set(re.findall(r"\(([\w/-]+\.yaml)\)", index))
    assert linked == {str(file.relative_to(EXAMPLES)) for file in FILES}
    for file in FILES:
        assert file.name in (file.parent / "README.md").read_text("utf-8")


def test_what_the_pages_apply_is_there():
    for page in EXAMPLES.glob("*/README.md"):
        applied = re.findall(r"(?:apply|nodegroup) -f (\S+)", page.read_text("utf-8"))
        for path in applied:
            assert (EXAMPLES.parent / path).is_file(), path
