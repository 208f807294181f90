"""KEDA as processes of the host, under its own service account and with its own RBAC."""

import os
from typing import Final

from hack.testbed.binaries import Binaries
from hack.testbed.component import Component
from hack.testbed.configuration import manifest
from hack.testbed.layout import NODE_IP, Layout
from hack.testbed.pki import write_token_kubeconfig
from hack.testbed.probes import Kubectl, answers

__all__ = ["keda"]

_TOKEN_LIFE: Final = "8760h"
# Addresses in ScaledObjects are names of the cluster: KEDA gets the cluster's DNS as its own, in a
# mount namespace of its own. What is mounted for pods at that moment must not live on in there.
_WITH_CLUSTER_DNS: Final = """
awk -v state="$1/" 'index($5, state) == 1 { print $5 }' /proc/self/mountinfo | tac |
    xargs --no-run-if-empty umount --lazy
mount --bind "$1/resolv.conf" /etc/resolv.conf || exit 1
shift
exec "$@"
"""


def keda(layout: Layout, binaries: Binaries, kubectl: Kubectl) -> tuple[Component, ...]:
    """Return KEDA's components, in the order of their start."""
    kubeconfig = layout.kubeconfig_of("keda")
    certificates = (
        f"--tls-cert-file={layout.keda}/tls.crt",
        f"--tls-private-key-file={layout.keda}/tls.key",
    )
    return (
        Component(
            name="keda-operator",
            command=_with_cluster_dns(
                layout,
                binaries.keda("operator"),
                f"--kubeconfig={kubeconfig}",
                f"--cert-dir={layout.keda}",
                "--enable-cert-rotation=false",
                "--metrics-bind-address=127.0.0.1:18080",
                "--health-probe-bind-address=127.0.0.1:18081",
                "--metrics-service-bind-address=127.0.0.1:19666",
                "--zap-log-level=info",
                "--zap-encoder=console",
                "--zap-time-encoding=rfc3339nano",
            ),
            environment=_environment(layout),
            prepare=lambda: _install(layout, binaries, kubectl),
            ports=tuple(("127.0.0.1", port) for port in (18080, 18081, 19666)),
            is_ready=lambda: answers("http://127.0.0.1:18081/readyz"),
        ),
        Component(
            name="keda-metrics",
            command=_with_cluster_dns(
                layout,
                binaries.keda("adapter"),
                f"--lister-kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                f"--bind-address={NODE_IP}",
                "--secure-port=16443",
                f"--client-ca-file={layout.keda}/ca.crt",
                *certificates,
                f"--cert-dir={layout.keda}",
                "--metrics-service-address=localhost:19666",
                "--port=18082",
            ),
            environment=_environment(layout),
            prepare=lambda: kubectl.apply(manifest(layout, "keda-metrics.yaml")),
            ports=((NODE_IP, 16443), ("127.0.0.1", 18082)),
            is_ready=lambda: kubectl.condition(
                "apiservice", "v1beta1.external.metrics.k8s.io", "Available"
            ),
        ),
    )


def _install(layout: Layout, binaries: Binaries, kubectl: Kubectl) -> None:
    """Bring KEDA's definitions and permissions into the cluster, and a token for it here."""
    kubectl.apply(manifest(layout, "keda-account.yaml"))
    for folder in ("config/crd/bases", "config/rbac", "config/metrics-server"):
        kubectl.apply("\n---\n".join(path.read_text() for path in binaries.keda_manifests(folder)))
    token = kubectl(
        *("--namespace", "keda", "create", "token", "keda-operator", "--duration", _TOKEN_LIFE)
    )
    write_token_kubeconfig(layout, layout.kubeconfig_of("keda"), token.strip())


def _with_cluster_dns(layout: Layout, *command: str) -> tuple[str, ...]:
    state = os.fspath(layout.state)
    return (
        *("unshare", "--mount", "--propagation", "private"),
        *("sh", "-c", _WITH_CLUSTER_DNS, "sh", state, *command),
    )


def _environment(layout: Layout) -> dict[str, str]:
    return {
        "KUBECONFIG": str(layout.kubeconfig_of("keda")),
        "POD_NAMESPACE": "keda",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
        "WATCH_NAMESPACE": "",
        "KEDA_HTTP_DEFAULT_TIMEOUT": "",
    }
