"""What a running container can do, asked from within."""

import json
from typing import Final

from support.cluster.kube import Json, Kube

_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
# Of a shell alone: not every image has Python.
_PROBE: Final = f"""
cat /proc/self/status
while read -r _ at _ options _; do [ "$at" = / ] && echo "Root: $options"; done < /proc/self/mounts
echo "Token: $(test -e {_TOKEN} && echo yes)"
"""
_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def assert_hardened(kube: Kube, pod: Json, *, token: bool) -> None:
    """Not root, no capability, nothing to write but its volumes; `token` is whether it has one."""
    metadata = pod["metadata"]
    (container,) = pod["spec"]["containers"]
    said = kube.run(
        *("-n", metadata["namespace"], "exec", metadata["name"], "-c", container["name"]),
        *("--", "sh", "-c", _PROBE),
    )
    pairs = (line.partition(":") for line in said.splitlines())
    found = {name: value.split() for name, _, value in pairs}
    # Real, effective, saved and of the file system.
    assert "0" not in found["Uid"]
    assert {int(found[each][0], 16) for each in _CAPABILITIES} == {0}
    assert found["NoNewPrivs"] == ["1"]
    # A filter of system calls.
    assert found["Seccomp"] == ["2"]
    assert "ro" in found["Root"][0].split(",")
    assert found["Token"] == (["yes"] if token else [])


def policies_of(kube: Kube, pod: Json) -> list[str]:
    """Return the names of the NetworkPolicies that select a pod."""
    namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"].items()
    found = json.loads(kube.run("-n", namespace, "get", "networkpolicies", "-o", "json"))["items"]
    return [
        each["metadata"]["name"]
        for each in found
        if each["spec"]["podSelector"].get("matchLabels", {}).items() <= labels
    ]
