"""etcd, the API server and its controllers."""

from typing import Final

from hack.testbed.binaries import Binaries
from hack.testbed.component import Component
from hack.testbed.layout import API_SERVER, NODE_IP, SERVICE_RANGE, Layout
from hack.testbed.probes import answers

__all__ = ["control_plane"]

_ETCD: Final = "http://127.0.0.1:12379"
_ETCD_PEER: Final = "http://127.0.0.1:12380"


def control_plane(layout: Layout, binaries: Binaries) -> tuple[Component, ...]:
    """Return the components of the control plane, in the order of their start."""
    return (
        _etcd(layout),
        _api_server(layout, binaries),
        _controller_manager(layout, binaries),
        _scheduler(layout, binaries),
    )


def _etcd(layout: Layout) -> Component:
    return Component(
        name="etcd",
        command=(
            "etcd",
            f"--data-dir={layout.state}/etcd",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEER}",
            f"--initial-advertise-peer-urls={_ETCD_PEER}",
            f"--initial-cluster=default={_ETCD_PEER}",
            # A cluster that is thrown away need not survive the machine.
            "--unsafe-no-fsync",
        ),
        ports=(("127.0.0.1", 12379), ("127.0.0.1", 12380)),
        is_ready=lambda: answers(f"{_ETCD}/health"),
    )


def _api_server(layout: Layout, binaries: Binaries) -> Component:
    pki = layout.pki
    return Component(
        name="kube-apiserver",
        command=(
            binaries.kubernetes("kube-apiserver"),
            f"--etcd-servers={_ETCD}",
            f"--bind-address={NODE_IP}",
            f"--advertise-address={NODE_IP}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--tls-cert-file={pki}/kube-apiserver.crt",
            f"--tls-private-key-file={pki}/kube-apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            # The metrics server is no pod: the aggregation layer goes to its endpoint itself.
            "--enable-aggregator-routing=true",
            "--feature-gates=ResourceHealthStatus=true",
            f"--audit-policy-file={layout.state}/audit-policy.yaml",
            f"--audit-log-path={layout.audit_log}",
            # In MiB: a reader need not care for a second file.
            "--audit-log-maxsize=2000",
        ),
        configuration=(layout.config("audit-policy.yaml"),),
        ports=((NODE_IP, 6443),),
        is_ready=lambda: answers(f"{API_SERVER}/readyz"),
        # It ends open watches only after a while, and nothing depends on a gentle end.
        grace_seconds=3.0,
    )


def _controller_manager(layout: Layout, binaries: Binaries) -> Component:
    pki = layout.pki
    return Component(
        name="kube-controller-manager",
        command=(
            binaries.kubernetes("kube-controller-manager"),
            *_as_itself(layout, "kube-controller-manager"),
            "--bind-address=127.0.0.1",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={layout.state}/volume-plugins",
            # 15 s by default: a test would spend its time waiting for it. How long a scale-down is
            # held back is left to each autoscaler's own behaviour.
            "--horizontal-pod-autoscaler-sync-period=2s",
        ),
        ports=(("127.0.0.1", 10257),),
        is_ready=lambda: answers("https://127.0.0.1:10257/healthz"),
    )


def _scheduler(layout: Layout, binaries: Binaries) -> Component:
    return Component(
        name="kube-scheduler",
        command=(
            binaries.kubernetes("kube-scheduler"),
            *_as_itself(layout, "kube-scheduler"),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ),
        ports=(("127.0.0.1", 10259),),
        is_ready=lambda: answers("https://127.0.0.1:10259/readyz"),
    )


def _as_itself(layout: Layout, component: str) -> tuple[str, ...]:
    kubeconfig = layout.kubeconfig_of(component)
    return tuple(
        f"--{purpose}kubeconfig={kubeconfig}"
        for purpose in ("", "authentication-", "authorization-")
    )
