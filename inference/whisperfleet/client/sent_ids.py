"""Under which ids the queue may answer for jobs that were sent with ids of their own."""

from collections import OrderedDict, defaultdict
from threading import Lock

__all__ = ["SentIds"]

_MOST = 10_000


class SentIds:
    """The newest 10,000 submissions of one client; may be shared by threads.

    The id that the queue makes of a submission's entry is `made`, the producer's own is `own`. A
    submission whose own id was taken fails under the made one.
    """

    def __init__(self) -> None:
        self._own: OrderedDict[str, str] = OrderedDict()
        self._made: defaultdict[str, list[str]] = defaultdict(list)
        self._lock = Lock()

    def remember(self, made: str, own: str) -> None:
        """Take in a submission."""
        with self._lock:
            self._own[made] = own
            self._made[own].append(made)
            if len(self._own) > _MOST:
                oldest, its_own = self._own.popitem(last=False)
                self._made[its_own].remove(oldest)
                if not self._made[its_own]:
                    del self._made[its_own]

    def own(self, made: str) -> str:
        """Return the id that the producer knows a job by."""
        return self._own.get(made, made)

    def made(self, own: str) -> tuple[str, ...]:
        """Return the ids that the queue made of the submissions of a job, oldest first."""
        with self._lock:
            return tuple(self._made.get(own, ()))
