"""What guards the workers, and what guards others from them."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from support.operator.samples import changed, full, minimal, read
from whisperfleet_operator.plan import Observed, PolicyPorts, make_plan

USUAL = PolicyPorts()


def child(resource: dict[str, Any], kind: str, ports: PolicyPorts = USUAL) -> dict[str, Any]:
    plan = make_plan(read(resource), Observed(ports=ports))
    (found,) = (each for each in plan.apply if each["kind"] == kind)
    return found


def allows(
    resource: dict[str, Any],
    address: str,
    port: int,
    protocol: str = "TCP",
    ports: PolicyPorts = USUAL,
) -> bool:
    """Whether the policy lets a worker contact an address, as a network plugin reads it."""
    where = ip_address(address)

    def within(block: dict[str, Any]) -> bool:
        if where not in ip_network(block["cidr"]):
            return False
        return not any(where in ip_network(each) for each in block.get("except", ()))

    for rule in child(resource, "NetworkPolicy", ports)["spec"]["egress"]:
        to_port = "ports" not in rule or {"port": port, "protocol": protocol} in rule["ports"]
        to_host = "to" not in rule or any(within(peer["ipBlock"]) for peer in rule["to"])
        if to_port and to_host:
            return True
    return False


HOSTS = changed(minimal(), "spec.input.allowedHosts", ["store.example.org"])
NETWORKS = changed(minimal(), "spec.input.allowedNetworks", ["10.20.3.4/16"])
HTTP = changed(minimal(), "spec.input.allowHttp", True)


@pytest.mark.parametrize(
    ("resource", "address", "port", "allowed"),
    [
        (minimal(), "10.0.0.7", 6379, True),
        (minimal(), "203.0.113.7", 443, True),
        (minimal(), "2001:db8::7", 443, True),
        (minimal(), "203.0.113.7", 80, False),
        (minimal(), "203.0.113.7", 9000, False),
        (minimal(), "10.0.0.7", 443, False),
        (minimal(), "fd12::7", 443, False),
        (minimal(), "169.254.169.254", 80, False),
        (HTTP, "203.0.113.7", 80, True),
        (HTTP, "169.254.169.254", 80, False),
        (HTTP, "fd00:ec2::254", 80, False),
        (HOSTS, "203.0.113.7", 9000, True),
        (HOSTS, "169.254.169.254", 80, False),
        (NETWORKS, "10.20.0.7", 9000, True),
        (NETWORKS, "10.21.0.7", 443, False),
        (full(), "10.0.0.7", 6379, False),
        (full(), "10.0.0.7", 6380, True),
    ],
)
def test_workers_reach_redis_and_audio(
    resource: dict[str, Any], address: str, port: int, allowed: bool
) -> None:
    assert allows(resource, address, port) is allowed


def test_workers_reach_the_name_service_wherever_it_is() -> None:
    assert allows(minimal(), "10.96.0.10", 53, "UDP")
    assert allows(minimal(), "169.254.20.10", 53, "TCP")
    # A policy is about the ports of pods, and those of OpenShift's DNS listen elsewhere.
    assert allows(minimal(), "10.128.0.9", 5353, "UDP")
    assert allows(minimal(), "10.128.0.9", 5353, "TCP")
    other = PolicyPorts(dns=(1053,))
    assert allows(minimal(), "10.128.0.9", 1053, "UDP", other)
    assert not allows(minimal(), "10.128.0.9", 53, "UDP", other)


def test_workers_reach_a_redis_whose_pods_listen_on_another_port() -> None:
    assert not allows(minimal(), "10.0.0.7", 16379)
    more = PolicyPorts(extra=(16379, 6379))
    assert allows(minimal(), "10.0.0.7", 16379, ports=more)
    assert allows(minimal(), "10.0.0.7", 6379, ports=more)
    # No port twice, which the API server would take for one.
    rules = child(minimal(), "NetworkPolicy", more)["spec"]["egress"]
    assert rules[1]["ports"] == [
        {"port": 6379, "protocol": "TCP"},
        {"port": 16379, "protocol": "TCP"},
    ]


def test_only_metrics_and_health_are_served() -> None:
    spec = child(minimal(), "NetworkPolicy")["spec"]
    assert spec["ingress"] == [{"ports": [{"port": 9464, "protocol": "TCP"}]}]
    assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("kind", "field"), [("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")]
)
def test_they_are_about_the_pool_s_pods(kind: str, field: str) -> None:
    selector = child(minimal(), kind)["spec"][field]["matchLabels"]
    assert selector == {"whisperfleet.io/service": "calls", "whisperfleet.io/pool": "main"}
    template = child(minimal(), "Deployment")["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()


def test_a_node_is_drained_one_worker_at_a_time_and_hung_ones_at_once() -> None:
    spec = child(minimal(), "PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
