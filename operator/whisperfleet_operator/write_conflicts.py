"""Who else writes a child: what is given up, and what is done more rarely, so that no fight lasts.

An admission webhook changes an object on its way in, and writing it again changes nothing. So what
came back of an apply is remembered, and the same is not applied to the same again. Where another
writer changes it back afterwards, each repair comes later than the one before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from whisperfleet.backoff import Backoff
from whisperfleet_operator.drift import APPLIED_ANNOTATION, differs, digest
from whisperfleet_operator.kube import Object
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.work_queue import Key

__all__ = ["WriteConflicts"]

# A person who edits by hand is not a fight, nor are two.
_REPAIRS_AT_ONCE = 3
_BACKOFF = Backoff(first_seconds=5.0, most_seconds=300.0, jitter=0.0)
# After so long the next change is taken for a new story.
_FORGIVEN_SECONDS = 900.0
# Others' by right, and changing all the time.
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(slots=True)
class _Written:
    wanted: str
    came_back: str
    is_kept: bool
    times: int
    last: float


class WriteConflicts:
    """What was written last, and what came back; for any thread, one service at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[Key, dict[ChildRef, _Written]] = {}

    def may_write(self, key: Key, wanted: Object, live: Object) -> bool:
        """Whether applying `wanted`, which is stamped, to `live` is worth it now."""
        last = self._written.get(key, {}).get(ChildRef.of(wanted))
        if last is None or last.wanted != _stamp(wanted):
            return True
        if not last.is_kept and last.came_back == digest(_lasting(live)):
            return False
        since = self._clock() - last.last
        return since > _FORGIVEN_SECONDS or since >= _pause(last.times)

    def wrote(self, key: Key, wanted: Object, came_back: Object) -> None:
        """Take in what became of an apply."""
        now = self._clock()
        written = self._written.setdefault(key, {})
        ref, stamp = ChildRef.of(wanted), _stamp(wanted)
        last = written.get(ref)
        goes_on = last is not None and last.wanted == stamp and now - last.last <= _FORGIVEN_SECONDS
        written[ref] = _Written(
            wanted=stamp,
            came_back=digest(_lasting(came_back)),
            is_kept=not differs(came_back, wanted),
            times=last.times + 1 if last is not None and goes_on else 1,
            last=now,
        )

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        self._written.pop(key, None)


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
