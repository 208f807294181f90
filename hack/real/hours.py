"""``python -m hack.real.hours``: hours of audio through one worker, and what becomes of its memory.

The corpus's file of an hour goes through a worker with real weights again and again, as jobs of
different tenants, so that none is answered from the cache. It ends with exit code 1 where the
worker grows after its first hour, or where a file takes longer than those before it. Growth is that
of the most that it had within an hour, which is what has to fit its limit. An hour's median, which
swings more, is told beside.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hack.process_tree import resident_bytes
from hack.real.corpus.build import Extent, build_part
from hack.real.corpus.manifest import Recording
from hack.real.errors import GroundError
from hack.real.models import MODELS, TINY, model_folder
from whisperfleet.cli.interrupts import interrupted_by_any_end
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.demo.worker import DemoWorker, run_worker

__all__ = ["main"]

_QUEUE_ID: Final = "hours.whisperfleet"
_MIB: Final = 1024**2
_MOST_GROWTH_MIB: Final = 32
# A file is late when it takes so many times what the median of all takes.
_LATE: Final = 2.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Hour:
    """The seconds that a file took, and the worker's memory meanwhile in MiB."""

    seconds: float
    usual: float
    most: float


class _Watch:
    """The memory that a worker had while each file was done."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[int] = []
        self._lock = threading.Lock()

    def look(self) -> None:
        """Read the memory now."""
        now = resident_bytes(self._pid)
        with self._lock:
            self._seen.append(now)

    def take(self) -> tuple[float, float]:
        """Return the median and the most since the last time, in MiB, and begin anew."""
        self.look()
        with self._lock:
            seen, self._seen = self._seen, []
        return statistics.median(seen) / _MIB, max(seen) / _MIB


def main() -> None:
    """Send the file until there were so many hours, print a line for each, and judge."""
    arguments = _parse()
    recording = max(build_part("files", Extent.FULL), key=lambda one: one.seconds)
    times = max(2, round(arguments.hours * 3600 / recording.seconds))
    try:
        with interrupted_by_any_end():
            hours = list(_hours(recording, times, arguments.model))
    except GroundError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"ended before the {times} hours were done; nothing is judged")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(hour) for hour in hours], indent=1) + "\n")
    first, *later = hours
    growth = max(hour.most for hour in later) - first.most
    usual = statistics.median(hour.seconds for hour in hours)
    late = [number for number, hour in enumerate(hours, 1) if hour.seconds > _LATE * usual]
    print(f"memory after the first hour: {growth:+.0f} MiB (at most {_MOST_GROWTH_MIB})")
    print(f"files that took over {_LATE:g} times the median of {usual:.0f} s: {late or 'none'}")
    if growth >= _MOST_GROWTH_MIB or late:
        sys.exit(1)


def _hours(recording: Recording, times: int, model: str) -> Iterator[_Hour]:
    """Yield what each time that the file was done took."""
    with (
        EmbeddedServer() as server,
        run_worker(server.url, _QUEUE_ID, str(model_folder(model)), [recording.path.parent]) as own,
        Client(server.settings, _QUEUE_ID) as client,
        _watched(own) as watch,
    ):
        own.wait_until_ready()
        for number in range(1, times + 1):
            began = time.monotonic()
            job = Job(url=recording.path.as_uri(), language="en", tenant=f"hour-{number}")
            job_id = client.submit(job)
            ((_, result),) = client.wait([job_id])
            hour = _Hour(time.monotonic() - began, *watch.take())
            if result.transcript is None:
                raise GroundError(f"hour {number} is {result.state}: {result.error}")
            own.check_alive()
            heard = len(result.transcript.text.split())
            print(
                f"hour {number} of {times}: {hour.seconds:.0f} s, {heard} words, "
                f"at most {hour.most:.0f} MiB, by the median {hour.usual:.0f}",
                flush=True,
            )
            yield hour


@contextmanager
def _watched(worker: DemoWorker) -> Iterator[_Watch]:
    watch, ended = _Watch(worker.pid), threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            watch.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.real.hours", description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--model", choices=MODELS, default=TINY)
    parser.add_argument("--json", type=Path, help="file for the seconds and MiB of each hour")
    return parser.parse_args()


if __name__ == "__main__":
    main()
