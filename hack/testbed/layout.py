"""Where the testbed keeps its files, and the addresses and names it takes on the machine."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hack.cache import cache_folder

__all__ = [
    "API_SERVER",
    "BRIDGE",
    "CGROUP",
    "DNS_IP",
    "KUBERNETES_SERVICE_IP",
    "LOCK",
    "NODE",
    "NODE_IP",
    "NODE_RANGE",
    "PAUSE_IMAGE",
    "POD_RANGE",
    "REDIS_PORT",
    "SERVICE_RANGE",
    "STATE_VARIABLE",
    "Layout",
]

NODE: Final = "testbed"
BRIDGE: Final = "wf-testbed"
NODE_IP: Final = "10.97.0.1"
NODE_RANGE: Final = "10.97.0.0/24"
POD_RANGE: Final = "10.244.0.0/24"
SERVICE_RANGE: Final = "10.96.0.0/16"
KUBERNETES_SERVICE_IP: Final = "10.96.0.1"
DNS_IP: Final = "10.96.0.10"
API_SERVER: Final = f"https://{NODE_IP}:6443"
# In every hierarchy; components are in its child `system`, pods in its child `kubepods`.
CGROUP: Final = "whisperfleet-testbed"
PAUSE_IMAGE: Final = "whisperfleet.local/pause:1"
# Redis listens on the node's address.
REDIS_PORT: Final = 6379
# There is one testbed on a machine, whatever its folders.
LOCK: Final = Path("/run/whisperfleet-testbed.lock")

STATE_VARIABLE: Final = "WHISPERFLEET_TESTBED_STATE"
_DEFAULT_STATE: Final = "/var/lib/whisperfleet-testbed"


def _state() -> Path:
    # The processes of a testbed run in folders of their own: the path must mean the same to all.
    return Path(os.environ.get(STATE_VARIABLE) or _DEFAULT_STATE).resolve()


def _cache() -> Path:
    return cache_folder("testbed")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders: `state` goes with `down`, `cache` (what was built) stays."""

    state: Path = field(default_factory=_state)
    cache: Path = field(default_factory=_cache)

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """The output of each component, and the audit log."""
        return self.state / "logs"

    @property
    def processes(self) -> Path:
        """One file a component: which process it is."""
        return self.state / "processes"

    @property
    def bin(self) -> Path:
        """Commands to look inside with."""
        return self.state / "bin"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's, a JSON object a line."""
        return self.logs / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd serves the kubelet and ctr."""
        return self.state / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root folder."""
        return self.state / "kubelet"

    @property
    def gpus(self) -> Path:
        """What the device plugin offers, as JSON."""
        return self.state / "gpus.json"

    @property
    def machine_before(self) -> Path:
        """What `up` found on the machine and `down` puts back; it tells the folder as ours."""
        return self.state / "machine-before.json"

    @property
    def keda(self) -> Path:
        """KEDA's certificates, under the names it looks for."""
        return self.state / "keda"

    def kubeconfig_of(self, component: str) -> Path:
        """Return the kubeconfig with which a component is itself."""
        return self.state / "kubeconfigs" / component

    def config(self, name: str) -> Path:
        """Return where a configuration file is written."""
        return self.state / name

    def log(self, component: str) -> Path:
        """Return where a component's output goes."""
        return self.logs / f"{component}.log"
