"""A whole worker but for its engine: ``python -m hack.null_worker --redis URL --queue ID``.

The work loop, the lease process, the queue, the threads, the metrics and the log are the worker's
own; only the steps of a job are not. They read the job and answer at once, or do what the job's
metadata says:

``{"seconds": 0.2}``       work so long, looking for a stop like a real step
``{"transient": 2}``       fail in passing on the first two attempts
``{"poison": "SIGKILL"}``  end the process by that signal, as a fault in a library would
"""

import argparse
import os
import secrets
import signal
import sys
import time
from typing import Any, Final

from whisperfleet import __version__
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.contract.result import Failure, ModelInfo, Result, Timing, Transcript
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import Usage
from whisperfleet.errors import InputError, TransientError
from whisperfleet.queue import Claim, QueuePolicy, RedisSettings, WorkQueue
from whisperfleet.worker import logs
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.lease_process import Greeting
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.leases import LeaseKeeper
from whisperfleet.worker.loop import LoopLimits, WorkLoop
from whisperfleet.worker.machine import Machine
from whisperfleet.worker.scratch import scratch_folder
from whisperfleet.worker.standing import Standing
from whisperfleet.worker.stopping import stop_on_signals
from whisperfleet.worker.stopwatch import Stopwatch

_CHECK_SECONDS: Final = 0.01
_STALL_SECONDS: Final = 300.0
_JOB_TIMEOUT_SECONDS: Final = 3600.0
_MODEL: Final = ModelInfo(name="null", digest="0" * 64)
_USAGE: Final = Usage(audio_seconds=1.0, speech_seconds=0.5, windows=1)
_NO_WORDS: Final = Transcript(
    text="", language="en", language_probability=1.0, duration=1.0, duration_after_vad=0.0
)


class NullPipeline:
    """What stands in for `whisperfleet.worker.job_pipeline.JobPipeline`."""

    def run(self, claim: Claim, control: JobControl) -> Result:
        """Answer a claim; the contract is that of the real steps."""
        stopwatch = Stopwatch()
        job: Job | None = None
        state, error = State.DONE, None
        try:
            job = Job.from_fields(claim.fields)
            if job.deadline is not None and job.deadline.timestamp() <= claim.claimed_at:
                state = State.EXPIRED
                error = Failure(code=Code.DEADLINE_PASSED, message="its deadline had passed")
            else:
                _obey(job.metadata, claim, control)
        except InputError as fault:
            state, error = State.FAILED, Failure(code=fault.code, message=fault.message)
        except Interrupted as interrupted:
            if interrupted.stop is not Stop.CANCELLED:
                raise
            state = State.CANCELLED
            error = Failure(code=Code.CANCELLED, message="it was cancelled")
        return Result(
            id=claim.job_id,
            state=state,
            transcript=_NO_WORDS if state is State.DONE else None,
            error=error,
            timing=Timing(
                queued=max(0.0, round(claim.claimed_at - claim.enqueued_at, 3)),
                total=round(stopwatch.total, 4),
            ),
            # As if all of it had been on a device of its own.
            usage=_USAGE.model_copy(update={"device_seconds": round(stopwatch.total, 6)}),
            model=_MODEL,
            worker_version=__version__,
            metadata=job.metadata if job else {},
        )


def _obey(orders: dict[str, Any], claim: Claim, control: JobControl) -> None:
    control.check()
    if poison := orders.get("poison"):
        os.kill(os.getpid(), signal.Signals[poison])
        # The signal may be delivered to another thread: go no further here.
        time.sleep(_STALL_SECONDS)
    if claim.retries < orders.get("transient", 0):
        raise TransientError(Code.FETCH_FAILED, "the job's metadata says so")
    ends = time.monotonic() + orders.get("seconds", 0.0)
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(_CHECK_SECONDS, left))
        control.check()


def main() -> None:
    """Work until SIGTERM, then drain."""
    arguments = _parse()
    logs.configure(arguments.log_level)
    stopped = stop_on_signals()
    policy = QueuePolicy(
        lease_seconds=arguments.lease,
        beat_seconds=arguments.beat,
        reclaim_seconds=arguments.reclaim,
    )
    settings = RedisSettings(arguments.redis)
    consumer = f"null-{os.getpid()}-{secrets.token_hex(4)}"

    def greet(table: LeaseTable) -> Greeting:
        return Greeting(
            redis=settings,
            queue_id=arguments.queue,
            consumer=consumer,
            policy=policy,
            priorities=DEFAULT_PRIORITIES,
            tenants=(),
            stall_seconds=_STALL_SECONDS,
            parent=os.getpid(),
            table=table.descriptor,
            slots=table.slots,
        )

    limits = LoopLimits(arguments.in_flight, _JOB_TIMEOUT_SECONDS, arguments.drain)
    standing = Standing()
    with (
        Machine(scratch_folder(None), standing, policy.beat_seconds) as machine,
        LeaseKeeper(arguments.in_flight, greet, standing) as leases,
    ):
        queue = WorkQueue(
            settings.connect(), Keys(arguments.queue), consumer, DEFAULT_PRIORITIES, policy
        )
        loop = WorkLoop(queue, NullPipeline(), leases, limits, standing, machine)
        leases.wait_until_ready()
        if arguments.gate:
            print("ready", flush=True)
            sys.stdin.readline()
        loop.run(stopped)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.null_worker", description=__doc__)
    parser.add_argument("--redis", required=True, help="address of the server")
    parser.add_argument("--queue", required=True, help="id of the queue")
    parser.add_argument("--lease", type=float, default=60.0, help="seconds of a lease")
    parser.add_argument("--beat", type=float, default=15.0, help="seconds between renewals")
    parser.add_argument("--reclaim", type=float, default=5.0, help="seconds between reclaims")
    parser.add_argument("--in-flight", type=int, default=8, help="jobs at once")
    parser.add_argument("--drain", type=float, default=10.0, help="seconds to finish in")
    parser.add_argument("--log-level", default="info", help="what is worth a line")
    parser.add_argument(
        "--gate", action="store_true", help="say `ready` and wait for a line before working"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
