"""What the API server's audit log knows of the operator."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from hack.testbed.audit import read_events
from support.operator.process import USER

# Its uid tells one cluster from another.
_CLUSTER_ID_NAMESPACE: Final = "kube-system"
_CREDENTIAL: Final = "authentication.kubernetes.io/credential-id"
_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class AuditLog:
    """The part of the log that was written since `at`, about one namespace or about none.

    Another test may run an operator of the same account in another one. Without a `namespace` it is
    about all of them; then, and for what is about none, `credential` tells whose operator it was.
    """

    file: Path
    namespace: str | None
    at: int
    credential: str | None = None

    @classmethod
    def begin(cls, file: Path, namespace: str | None, credential: str | None = None) -> "AuditLog":
        return cls(file, namespace, file.stat().st_size, credential)

    def from_now(self) -> "AuditLog":
        return self.begin(self.file, self.namespace, self.credential)

    def of(self, kubeconfig: Path) -> "AuditLog":
        """Return the same of what was done with the token of a kubeconfig alone."""
        return replace(self, credential=_credential(kubeconfig))

    def entries(self) -> Iterator[dict[str, Any]]:
        return read_events(self.file, since=self.at)

    def by_operator(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries() if self._is_operators(entry)]

    def _is_operators(self, entry: dict[str, Any]) -> bool:
        user = entry["user"]
        if user["username"] != USER:
            return False
        if self.credential not in (None, *user.get("extra", {}).get(_CREDENTIAL, ())):
            return False
        about = (entry.get("objectRef") or {}).get("namespace")
        return self.namespace is None or about in (None, self.namespace, _CLUSTER_ID_NAMESPACE)

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


def _credential(kubeconfig: Path) -> str:
    """Return by which name the audit log knows a token of a service account."""
    (user,) = yaml.safe_load(kubeconfig.read_text())["users"]
    claims = user["user"]["token"].split(".")[1]
    padded = claims + "=" * (-len(claims) % 4)
    return f"JTI={json.loads(base64.urlsafe_b64decode(padded))['jti']}"


def _line(entry: dict[str, Any]) -> str:
    about = entry.get("objectRef", {})
    subresource = f"/{about['subresource']}" if "subresource" in about else ""
    return f"{entry['verb']} {about.get('resource')}{subresource}/{about.get('name', '')}"
