"""Other writers of a child: which writes are given up or made less often, so that no fight lasts.

An admission webhook changes an object while it is written, and writing it again changes nothing. So
the result of an apply is remembered, and the same manifest is not applied to the same result again.
Where another writer changes a child back later, each repair waits longer than the one before.
"""

import time
from collections.abc import Callable

from whisperfleet.backoff import Backoff
from whisperfleet_operator.drift import APPLIED_ANNOTATION, differs, digest
from whisperfleet_operator.kube import Object
from whisperfleet_operator.memory import LastWrite
from whisperfleet_operator.plan import ChildRef

__all__ = ["WriteConflicts"]

# A few edits by hand are not a conflict.
_REPAIRS_AT_ONCE = 3
_BACKOFF = Backoff(first_seconds=5.0, most_seconds=300.0, jitter=0.0)
# After so long the next change counts as the first one.
_FORGIVEN_SECONDS = 900.0
# Written by the Deployment controller at every rollout.
_REVISION = "deployment.kubernetes.io/revision"


class WriteConflicts:
    """What was last written to the children of a service, `written`, and what came back."""

    def __init__(
        self, written: dict[ChildRef, LastWrite], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._written = written
        self._clock = clock

    def may_write(self, wanted: Object, live: Object) -> bool:
        """Whether applying `wanted`, which is stamped, to `live` is worth it now."""
        last = self._written.get(ChildRef.of(wanted))
        if last is None or last.wanted != _stamp(wanted):
            return True
        if not last.is_kept and last.came_back == digest(_lasting(live)):
            return False
        since = self._clock() - last.at
        return since > _FORGIVEN_SECONDS or since >= _pause(last.times)

    def wrote(self, wanted: Object, came_back: Object) -> None:
        """Take in what became of an apply."""
        now = self._clock()
        ref, stamp = ChildRef.of(wanted), _stamp(wanted)
        last = self._written.get(ref)
        goes_on = last is not None and last.wanted == stamp and now - last.at <= _FORGIVEN_SECONDS
        self._written[ref] = LastWrite(
            wanted=stamp,
            came_back=digest(_lasting(came_back)),
            is_kept=not differs(came_back, wanted),
            times=last.times + 1 if last is not None and goes_on else 1,
            at=now,
        )


def _pause(times: int) -> float:
    if times <= _REPAIRS_AT_ONCE:
        return 0.0
    return _BACKOFF.seconds(times - _REPAIRS_AT_ONCE)


def _stamp(wanted: Object) -> str:
    stamp: str = wanted["metadata"]["annotations"][APPLIED_ANNOTATION]
    return stamp


def _lasting(obj: Object) -> Object:
    """Return what of an object changes only where somebody changes it on purpose."""
    metadata = obj["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != _REVISION}
    spec = {k: v for k, v in (obj.get("spec") or {}).items() if k != "replicas"}
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "spec", "status")}
    return {
        **rest,
        "metadata": {
            "uid": metadata.get("uid"),
            "annotations": annotations,
            "labels": metadata.get("labels"),
            "ownerReferences": metadata.get("ownerReferences"),
        },
        "spec": spec,
    }
