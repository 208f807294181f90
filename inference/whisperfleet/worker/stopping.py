"""The wish that the process ends, as an event."""

import queue
import signal
import threading

__all__ = ["stop_on_signals"]


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets. Call it on the main thread, and once.

    Python runs a handler between any two steps of the main thread, also where `Event.wait` holds
    the event's own lock; to set the event there would block the process for good. So a handler only
    puts into a queue that is made for that, and a thread sets the event.
    """
    stopped = threading.Event()
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def obey() -> None:
        signals.get()
        stopped.set()

    threading.Thread(target=obey, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.put(received))
    return stopped
