"""What a running container can do, asked from within."""

import json
from typing import Final

from cluster.kube import Json, Kube

_PROBE: Final = """
import json, os
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
print(json.dumps({
    "user": os.getuid(),
    "capabilities": sorted({int(status[each], 16) for each in sets}),
    "new_privileges": status["NoNewPrivs"] == "0",
    "writable_root": not os.statvfs("/").f_flag & os.ST_RDONLY,
    "filtered_calls": status["Seccomp"] == "2",
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token"),
}))
"""


def assert_hardened(kube: Kube, pod: Json, *, token: bool) -> None:
    """Not root, no capability, nothing to write but its volumes; `token` is whether it has one."""
    metadata = pod["metadata"]
    (container,) = pod["spec"]["containers"]
    said = kube.run(
        *("-n", metadata["namespace"], "exec", metadata["name"], "-c", container["name"]),
        *("--", "python", "-c", _PROBE),
    )
    found = json.loads(said)
    assert found.pop("user") > 0
    assert found == {
        "capabilities": [0],
        "new_privileges": False,
        "writable_root": False,
        "filtered_calls": True,
        "token": token,
    }


def policies_of(kube: Kube, pod: Json) -> list[str]:
    """Return the names of the NetworkPolicies that select a pod."""
    namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"].items()
    found = json.loads(kube.run("-n", namespace, "get", "networkpolicies", "-o", "json"))["items"]
    return [
        each["metadata"]["name"]
        for each in found
        if each["spec"]["podSelector"].get("matchLabels", {}).items() <= labels
    ]
