"""The certificates of the cluster, and the kubeconfigs that carry them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.testbed.commands import run_command
from hack.testbed.files import link, write
from hack.testbed.layout import API_SERVER, KUBERNETES_SERVICE_IP, NODE, NODE_IP, Layout

__all__ = ["make_certificates", "write_kubeconfig", "write_token_kubeconfig"]

_EC_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
_DAYS: Final = "365"


@dataclass(frozen=True, slots=True)
class _Identity:
    """One certificate: whom it names, which addresses it is valid for, who signed it."""

    file: str
    user: str
    group: str = "whisperfleet-testbed"
    names: tuple[str, ...] = ()
    authority: str = "ca"


def _service_names(service: str) -> tuple[str, ...]:
    return tuple(
        f"DNS:{service}{suffix}" for suffix in ("", ".svc", ".svc.cluster", ".svc.cluster.local")
    )


_IDENTITIES: Final = (
    _Identity(
        "kube-apiserver",
        "kube-apiserver",
        names=(
            *(f"IP:{ip}" for ip in ("127.0.0.1", NODE_IP, KUBERNETES_SERVICE_IP)),
            *("DNS:localhost", "DNS:kubernetes"),
            *_service_names("kubernetes.default"),
        ),
    ),
    _Identity("admin", "admin", group="system:masters"),
    _Identity("kube-controller-manager", "system:kube-controller-manager"),
    _Identity("kube-scheduler", "system:kube-scheduler"),
    _Identity("kube-proxy", "system:kube-proxy"),
    _Identity(
        "kubelet",
        f"system:node:{NODE}",
        group="system:nodes",
        names=(f"IP:{NODE_IP}", f"DNS:{NODE}"),
    ),
    _Identity("kubelet-client", "kube-apiserver-kubelet-client", group="system:masters"),
    _Identity("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
    _Identity(
        "keda",
        "keda",
        names=(
            *("IP:127.0.0.1", f"IP:{NODE_IP}", "DNS:localhost"),
            *_service_names("keda-operator.keda"),
            *_service_names("keda-metrics-apiserver.keda"),
        ),
    ),
)


def make_certificates(layout: Layout) -> None:
    """Make the certificates that are not there yet: PEM files in `layout.pki` and `layout.keda`."""
    pki = layout.pki
    pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    for authority in ("ca", "front-proxy-ca"):
        if not (pki / f"{authority}.crt").exists():
            _openssl(
                *("req", "-x509", *_EC_KEY, "-days", _DAYS, "-subj", f"/CN={authority}"),
                *("-keyout", pki / f"{authority}.key", "-out", pki / f"{authority}.crt"),
            )
    for identity in _IDENTITIES:
        if not (pki / f"{identity.file}.crt").exists():
            _make_certificate(pki, identity)
    if not (pki / "service-accounts.pub").exists():
        private = pki / "service-accounts.key"
        _openssl(
            *("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-out", private),
        )
        _openssl("pkey", "-in", private, "-pubout", "-out", pki / "service-accounts.pub")
    for source, name in (("ca.crt", "ca.crt"), ("keda.crt", "tls.crt"), ("keda.key", "tls.key")):
        link(layout.keda / name, pki / source)


def write_kubeconfig(layout: Layout, path: Path, identity: str) -> None:
    """Write a kubeconfig with a certificate of `make_certificates`, referred to by its path."""
    user = {
        "client-certificate": str(layout.pki / f"{identity}.crt"),
        "client-key": str(layout.pki / f"{identity}.key"),
    }
    _write(layout, path, user)


def write_token_kubeconfig(layout: Layout, path: Path, token: str) -> None:
    """Write a kubeconfig with a service account's token."""
    _write(layout, path, {"token": token})


def _write(layout: Layout, path: Path, user: dict[str, str]) -> None:
    name = "whisperfleet-testbed"
    cluster = {"server": API_SERVER, "certificate-authority": str(layout.pki / "ca.crt")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    # JSON is YAML.
    write(path, json.dumps(content, indent=1), mode=0o600)


def _make_certificate(pki: Path, identity: _Identity) -> None:
    names = ("-addext", f"subjectAltName={','.join(identity.names)}") if identity.names else ()
    _openssl(
        *("req", "-x509", *_EC_KEY, "-days", _DAYS),
        *("-CA", pki / f"{identity.authority}.crt", "-CAkey", pki / f"{identity.authority}.key"),
        *("-subj", f"/O={identity.group}/CN={identity.user}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", "keyUsage=critical,digitalSignature"),
        *("-addext", "extendedKeyUsage=clientAuth,serverAuth"),
        *names,
        *("-keyout", pki / f"{identity.file}.key", "-out", pki / f"{identity.file}.crt"),
    )


def _openssl(*arguments: str | Path) -> None:
    run_command(
        ["openssl", *map(str, arguments)],
        "the certificates need OpenSSL 3 and room in the state folder",
    )
