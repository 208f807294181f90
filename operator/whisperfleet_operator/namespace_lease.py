"""Which release of the operator manages a namespace, where there may be two.

Each release has a name, and a Lease in the namespace names the release that manages it. The Lease
is not renewed, because a fleet at zero pods is to cause no writes. A release that finds another's
name asks by an annotation on the Lease instead: a running release answers by emptying it, and the
one that asked leaves the namespace to it and asks again after some minutes. Without an answer it
takes over. Operators of one release, as after a lost node that comes back, share one name.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from whisperfleet_operator.kube import (
    AlreadyExistsError,
    ForbiddenError,
    Kube,
    NotFoundError,
    Object,
)
from whisperfleet_operator.kube.kinds import LEASE
from whisperfleet_operator.resource.names import (
    ASKED_BY_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    OPERATOR,
)

__all__ = ["NamespaceLease", "Standing"]

_log = logging.getLogger(__name__)

# How often the Lease is read: a release that lives answers within this time.
_READ_SECONDS = 15.0
_PATIENCE_SECONDS = 60.0
_WAITING_SECONDS = 5.0
_AGAIN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether this release looks after a namespace: `other` is the one that does, if not.

    It `answered`, or that is yet to be seen. `again_seconds`: when to ask once more.
    """

    other: str | None = None
    answered: bool = False
    again_seconds: float = _READ_SECONDS


@dataclass(slots=True)
class _Known:
    standing: Standing
    due: float
    # The version of the Lease that carries a question without an answer, and since when.
    asked_version: str | None = None
    asked_at: float = 0.0


class NamespaceLease:
    """The Leases of namespaces; for any thread."""

    def __init__(
        self, kube: Kube, release: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.release = release
        self._kube = kube
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._told: set[tuple[str, str]] = set()

    def standing(self, service: Object) -> Standing:
        """Return who looks after the namespace of a service. Raises KubeError.

        Where it cannot have a Lease, this release looks after whatever it may.
        """
        namespace: str = service["metadata"]["namespace"]
        now = self._clock()
        known = self._known.get(namespace)
        if known is not None and now < known.due:
            return known.standing
        if known is not None:
            # Who comes meanwhile goes by what is known.
            known.due = now + _WAITING_SECONDS
        try:
            found = self._negotiate(namespace, service, known, now)
        except (ForbiddenError, NotFoundError) as error:
            self._tell(namespace, "", "goes without a Lease: %s", error)
            found = _Known(Standing(), now + _AGAIN_SECONDS)
        except AlreadyExistsError:
            # Somebody else wrote it in the same moment.
            found = known or _Known(Standing("another", again_seconds=_WAITING_SECONDS), now)
        self._known[namespace] = found
        return found.standing

    def _negotiate(
        self, namespace: str, service: Object, known: _Known | None, now: float
    ) -> _Known:
        lease = self._lease(namespace, service)
        holder = lease["spec"].get("holderIdentity") or ""
        asked_by = lease["metadata"].get("annotations", {}).get(ASKED_BY_ANNOTATION) or None
        if holder == self.release:
            if asked_by is not None:
                self._tell(
                    namespace,
                    asked_by,
                    "is asked for by the release %s too: uninstall one, or give each its own "
                    "namespaces",
                    asked_by,
                )
                self._write(lease, holder, asked_by=None)
            return _Known(Standing(), now + _READ_SECONDS)
        if asked_by is None and known is not None and known.asked_version is not None:
            self._tell(
                namespace,
                holder,
                "is left to the release %s, which looks after it: uninstall one, or give each its "
                "own namespaces",
                holder,
            )
            standing = Standing(holder, answered=True, again_seconds=_AGAIN_SECONDS)
            return _Known(standing, now + _AGAIN_SECONDS)
        if asked_by is None:
            lease = self._write(lease, holder, asked_by=self.release)
        version: str = lease["metadata"]["resourceVersion"]
        since = known.asked_at if known is not None and known.asked_version == version else now
        if now - since >= _PATIENCE_SECONDS:
            self._write(lease, self.release, asked_by=None)
            return _Known(Standing(), now + _READ_SECONDS)
        standing = Standing(holder, again_seconds=_WAITING_SECONDS)
        return _Known(standing, now + _WAITING_SECONDS, version, since)

    def _lease(self, namespace: str, service: Object) -> Object:
        try:
            return self._kube.get(LEASE, namespace, OPERATOR)
        except NotFoundError:
            metadata = service["metadata"]
            # It goes with the service, and the next reconcile of another one makes it anew.
            owner = {
                "apiVersion": service["apiVersion"],
                "kind": service["kind"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
            return self._kube.create(
                _manifest(namespace, self.release, ownerReferences=[owner]), FIELD_MANAGER
            )

    def _write(self, lease: Object, holder: str, asked_by: str | None) -> Object:
        """Change a Lease if it is still as it was read. Raises AlreadyExistsError if not."""
        read = lease["metadata"]
        kept = {name: read[name] for name in ("uid", "resourceVersion")}
        if "ownerReferences" in read:
            kept["ownerReferences"] = read["ownerReferences"]
        # Empty, for only the one who wrote an annotation could take it off.
        kept["annotations"] = {ASKED_BY_ANNOTATION: asked_by or ""}
        return self._kube.apply(_manifest(read["namespace"], holder, **kept), FIELD_MANAGER)

    def _tell(self, namespace: str, about: str, text: str, *arguments: object) -> None:
        if (namespace, about) not in self._told:
            self._told.add((namespace, about))
            _log.warning(f"the namespace %s {text}", namespace, *arguments)


def _manifest(namespace: str, holder: str, **metadata: object) -> Object:
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.name,
        "metadata": {
            "name": OPERATOR,
            "namespace": namespace,
            "labels": {MANAGED_BY_LABEL: OPERATOR},
            **metadata,
        },
        "spec": {
            "holderIdentity": holder,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
