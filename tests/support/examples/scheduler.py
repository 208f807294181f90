"""Whether a pod may run on a node, as far as labels and taints decide it."""

from typing import Any

Json = dict[str, Any]


def may_run(pod: Json, labels: dict[str, str], taints: tuple[dict[str, str], ...]) -> bool:
    """Return whether the scheduler could put the pod onto such a node."""
    return _is_selected(pod, labels) and all(
        any(_tolerates(toleration, taint) for toleration in pod.get("tolerations", ()))
        for taint in taints
    )


def _is_selected(pod: Json, labels: dict[str, str]) -> bool:
    if not pod.get("nodeSelector", {}).items() <= labels.items():
        return False
    affinity = pod.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(
        all(_matches(expression, labels) for expression in term["matchExpressions"])
        for term in required["nodeSelectorTerms"]
    )


def _matches(expression: Json, labels: dict[str, str]) -> bool:
    assert expression["operator"] == "In"
    return labels.get(expression["key"]) in expression["values"]


def _tolerates(toleration: Json, taint: dict[str, str]) -> bool:
    if toleration.get("effect") not in (None, taint["effect"]):
        return False
    if toleration.get("key") not in (None, taint["key"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("value", "") == taint["value"])
