"""What guards the workers, and what guards others from them."""

from typing import Any, Final

from whisperfleet_operator.plan.actions import Manifest, PolicyPorts
from whisperfleet_operator.plan.environment import HTTP_PORT
from whisperfleet_operator.plan.metadata import child_metadata
from whisperfleet_operator.resource.names import pod_selector
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["disruption_budget", "network_policy", "service_account"]

# Not public: RFC 6890's private, shared and link-local networks. The last holds the clouds'
# metadata services, which hand out credentials.
_PRIVATE_V4: Final = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
_PRIVATE_V6: Final = ("fc00::/7", "fe80::/10")


def service_account(service: TranscriptionService, pool: Pool) -> Manifest:
    """Return an account without rights and without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": child_metadata(service, pool),
        "automountServiceAccountToken": False,
    }


def disruption_budget(service: TranscriptionService, pool: Pool) -> Manifest:
    """Return the budget that lets nodes be drained one worker at a time, hung workers at once."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(service, pool),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": pod_selector(service.name, pool.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def network_policy(service: TranscriptionService, pool: Pool, ports: PolicyPorts) -> Manifest:
    """Return what may reach the workers, metrics, and what they may reach: DNS, Redis and audio.

    A host that the spec names may be asked on any port, a network that it names too; everything
    else only if it is public, on the ports of its scheme. Policies add up: what else the pods shall
    reach, another one allows.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(service, pool),
        "spec": {
            "podSelector": {"matchLabels": pod_selector(service.name, pool.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [_port(HTTP_PORT)]}],
            "egress": _egress(service, ports),
        },
    }


def _egress(service: TranscriptionService, ports: PolicyPorts) -> list[dict[str, Any]]:
    inputs = service.spec.input
    rules: list[dict[str, Any]] = [
        {"ports": [_port(port, protocol) for port in ports.dns for protocol in ("UDP", "TCP")]},
        # By its port alone: a policy knows no names.
        {"ports": [_port(port) for port in dict.fromkeys((service.redis.port, *ports.extra))]},
    ]
    public: dict[str, Any] = {"to": [_block("0.0.0.0/0", _PRIVATE_V4), _block("::/0", _PRIVATE_V6)]}
    if not inputs.allowed_hosts:
        public["ports"] = [_port(443)] + ([_port(80)] if inputs.allow_http else [])
    rules.append(public)
    if inputs.allowed_networks:
        rules.append({"to": [_block(network) for network in inputs.allowed_networks]})
    return rules


def _block(network: str, but: tuple[str, ...] = ()) -> dict[str, Any]:
    block: dict[str, Any] = {"cidr": network}
    if but:
        block["except"] = list(but)
    return {"ipBlock": block}


def _port(number: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"port": number, "protocol": protocol}
