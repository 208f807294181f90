"""From `kubectl apply` to words and back to zero pods, on a real cluster of this machine."""

from hack.demo_cluster.errors import DemoError
from hack.demo_cluster.run import NAMESPACE, DemoRun, run_demo

__all__ = ["NAMESPACE", "DemoError", "DemoRun", "run_demo"]
