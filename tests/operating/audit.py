"""What the API server's audit log knows of the operator."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.testbed.audit import read_events
from operating.process import USER

# Its uid tells one cluster from another.
_CLUSTER_ID_NAMESPACE: Final = "kube-system"
_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class AuditLog:
    """The part of the log that was written since `at`, about one namespace.

    Another test may run an operator of the same account in another one.
    """

    file: Path
    namespace: str
    at: int

    @classmethod
    def begin(cls, file: Path, namespace: str) -> "AuditLog":
        return cls(file, namespace, file.stat().st_size)

    def from_now(self) -> "AuditLog":
        return self.begin(self.file, self.namespace)

    def entries(self) -> Iterator[dict[str, Any]]:
        return read_events(self.file, since=self.at)

    def by_operator(self) -> list[dict[str, Any]]:
        namespaces = (self.namespace, _CLUSTER_ID_NAMESPACE)
        return [
            entry
            for entry in self.entries()
            if entry["user"]["username"] == USER
            and (entry.get("objectRef") or {}).get("namespace") in namespaces
        ]

    def writes(self) -> list[str]:
        """Return what the operator changed, as `verb resource/name`."""
        return [_line(entry) for entry in self.by_operator() if entry["verb"] in _WRITES]

    def created_pods(self) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self.entries()
            if entry["verb"] == "create"
            and (entry.get("objectRef") or {}).get("resource") == "pods"
            and entry["objectRef"].get("namespace") == self.namespace
            and "subresource" not in entry["objectRef"]
        ]


def _line(entry: dict[str, Any]) -> str:
    about = entry.get("objectRef", {})
    subresource = f"/{about['subresource']}" if "subresource" in about else ""
    return f"{entry['verb']} {about.get('resource')}{subresource}/{about.get('name', '')}"
