"""What the operator is told when it starts."""

from dataclasses import dataclass

from whisperfleet_operator.plan import PolicyPorts
from whisperfleet_operator.resource.names import OPERATOR

__all__ = ["OperatorSettings"]


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """`namespaces` to take care of; none means all.

    `cluster_id` tells this cluster from others on the same Redis; None: the uid of the namespace
    kube-system. `release` tells this operator from others that may look after the same namespaces.
    Every worker may reach `dns_ports` and `worker_ports`. `workers` services are reconciled at
    once. A reconcile that takes `stall_seconds` means that the operator hangs.
    """

    namespaces: tuple[str, ...] = ()
    cluster_id: str | None = None
    release: str = OPERATOR
    dns_ports: tuple[int, ...] = PolicyPorts().dns
    worker_ports: tuple[int, ...] = ()
    workers: int = 8
    http_host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks at the pod's address
    http_port: int = 8080
    stall_seconds: float = 180.0
    log_level: str = "info"
