"""The configuration files of the components, from the templates in `config/` and `manifests/`."""

import base64
import os
from pathlib import Path
from string import Template
from typing import Final

from hack.testbed.files import write
from hack.testbed.layout import (
    CGROUP,
    DNS_IP,
    NODE,
    NODE_IP,
    PAUSE_IMAGE,
    POD_RANGE,
    Layout,
)
from hack.testbed.pki import write_kubeconfig

__all__ = ["manifest", "write_configuration"]

_HERE: Final = Path(__file__).parent
_FILES: Final = {
    "containerd.toml": "containerd.toml",
    # With ptp each pod is routed by the host, so that the rules of a Service see the way back too
    # (behind a bridge that takes the kernel module br_netfilter). There is no masquerading: pods
    # reach the host and each other and nothing beyond.
    "cni.conflist": "cni/net.d/10-testbed.conflist",
    "kubelet.yaml": "kubelet.yaml",
    "kube-proxy.yaml": "kube-proxy.yaml",
    "audit-policy.yaml": "audit-policy.yaml",
    "Corefile": "Corefile",
    "resolv.conf": "resolv.conf",
}
_OWN_KUBECONFIG: Final = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")


def write_configuration(layout: Layout) -> None:
    """Write every component's configuration into the state folder; certificates must be there."""
    values = _values(layout)
    for template, name in _FILES.items():
        write(layout.config(name), _fill(_HERE / "config" / template, values))
    write_kubeconfig(layout, layout.kubeconfig, "admin")
    for component in _OWN_KUBECONFIG:
        write_kubeconfig(layout, layout.kubeconfig_of(component), component)


def manifest(layout: Layout, name: str) -> str:
    """Return the text of one of the manifests that the cluster itself needs."""
    authority = base64.b64encode((layout.pki / "ca.crt").read_bytes()).decode()
    return _fill(_HERE / "manifests" / name, {**_values(layout), "ca_bundle": authority})


def _fill(template: Path, values: dict[str, str]) -> str:
    return Template(template.read_text()).substitute(values)


def _values(layout: Layout) -> dict[str, str]:
    return {
        "state": os.fspath(layout.state),
        "cgroup": CGROUP,
        "dns_ip": DNS_IP,
        "node": NODE,
        "node_ip": NODE_IP,
        "pause_image": PAUSE_IMAGE,
        "pod_range": POD_RANGE,
    }
