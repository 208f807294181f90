"""A Kubernetes cluster with KEDA on one Debian machine, without Docker or an image registry."""

from hack.testbed.cluster import ComponentStatus, Testbed
from hack.testbed.errors import TestbedError
from hack.testbed.layout import Layout

__all__ = ["ComponentStatus", "Layout", "Testbed", "TestbedError"]
