"""The machine as a node: containerd, the kubelet, Services, their names, and GPUs."""

import json
from collections.abc import Collection
from typing import Final

from hack.testbed.binaries import Binaries
from hack.testbed.component import Component
from hack.testbed.configuration import manifest
from hack.testbed.errors import TestbedError
from hack.testbed.files import write
from hack.testbed.images import load_pause_image
from hack.testbed.layout import NODE, NODE_IP, Layout
from hack.testbed.machine import KUBELET_LINK
from hack.testbed.probes import Kubectl, answers, containerd_answers

__all__ = ["GPU_RESOURCE", "node", "read_gpus", "write_gpus"]

GPU_RESOURCE: Final = "nvidia.com/gpu"
_DEFAULT_GPUS: Final = 2


def node(layout: Layout, binaries: Binaries, kubectl: Kubectl) -> tuple[Component, ...]:
    """Return the components of the node, in the order of their start."""
    return (
        Component(
            name="containerd",
            command=("containerd", "--config", str(layout.config("containerd.toml"))),
            configuration=(layout.config("containerd.toml"),),
            is_ready=lambda: containerd_answers(layout.containerd_socket),
        ),
        _kubelet(layout, binaries, kubectl),
        Component(
            name="kube-proxy",
            command=(
                binaries.kubernetes("kube-proxy"),
                f"--config={layout.config('kube-proxy.yaml')}",
            ),
            configuration=(layout.config("kube-proxy.yaml"),),
            ports=(("127.0.0.1", 10256), ("127.0.0.1", 10249)),
            is_ready=lambda: answers("http://127.0.0.1:10256/healthz"),
        ),
        Component(
            name="coredns",
            command=(binaries.addon("coredns"), "-conf", str(layout.config("Corefile"))),
            configuration=(layout.config("Corefile"),),
            prepare=lambda: kubectl.apply(manifest(layout, "cluster-dns.yaml")),
            ports=((NODE_IP, 1053), ("127.0.0.1", 18181)),
            is_ready=lambda: answers("http://127.0.0.1:18181/ready"),
        ),
        _gpu_plugin(layout, binaries, kubectl),
    )


def write_gpus(layout: Layout, count: int, unhealthy: Collection[int]) -> None:
    """Change what the device plugin offers; it looks by itself. Raises TestbedError on nonsense."""
    strange = [number for number in unhealthy if not 0 <= number < count]
    if count < 0 or strange:
        raise TestbedError(
            f"{count} GPUs with {sorted(unhealthy)} unhealthy cannot be: the numbers of the "
            f"unhealthy ones go from 0 to {count - 1}"
        )
    write(layout.gpus, json.dumps({"count": count, "unhealthy": sorted(unhealthy)}))


def read_gpus(layout: Layout) -> tuple[int, int]:
    """Return how many GPUs the plugin is to offer, and how many of them are healthy."""
    offered = json.loads(layout.gpus.read_text())
    return offered["count"], offered["count"] - len(offered["unhealthy"])


def _kubelet(layout: Layout, binaries: Binaries, kubectl: Kubectl) -> Component:
    def prepare() -> None:
        load_pause_image(layout, binaries)
        layout.kubelet.mkdir(exist_ok=True)
        if not KUBELET_LINK.is_symlink():
            KUBELET_LINK.symlink_to(layout.kubelet)

    return Component(
        name="kubelet",
        command=(
            binaries.kubernetes("kubelet"),
            f"--config={layout.config('kubelet.yaml')}",
            f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
            f"--root-dir={layout.kubelet}",
            f"--cert-dir={layout.kubelet}/pki",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_IP}",
        ),
        configuration=(layout.config("kubelet.yaml"),),
        prepare=prepare,
        ports=((NODE_IP, 10250), ("127.0.0.1", 10248)),
        is_ready=lambda: (
            answers("http://127.0.0.1:10248/healthz") and kubectl.condition("node", NODE, "Ready")
        ),
    )


def _gpu_plugin(layout: Layout, binaries: Binaries, kubectl: Kubectl) -> Component:
    def prepare() -> None:
        if not layout.gpus.exists():
            write_gpus(layout, _DEFAULT_GPUS, ())

    return Component(
        name="gpu-plugin",
        command=(binaries.kubernetes("fake-gpu-plugin"), str(layout.gpus)),
        prepare=prepare,
        is_ready=lambda: kubectl.allocatable(NODE, GPU_RESOURCE) == read_gpus(layout),
    )
