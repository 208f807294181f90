"""`whisperfleet worker` whose jobs can wait for a test; it runs in the worker's own image.

A job whose metadata names a ``gate`` begins, and goes on once Redis has a key of that name. Until
then it looks for a stop as every step of a job does; everything else is the worker as it is.
"""

import time
from functools import partial

from whisperfleet.cli import main
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Result
from whisperfleet.queue import Claim
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.job_pipeline import JobPipeline
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

LOOK_SECONDS = 0.05


class GatedPipeline(JobPipeline):
    """The steps of a job, behind its gate."""

    def run(self, claim: Claim, control: JobControl) -> Result:
        gate = Job.from_fields(claim.fields).metadata.get("gate")
        while gate and not self._stops_for_good(control) and not self.cache.client.exists(gate):
            time.sleep(LOOK_SECONDS)
        return super().run(claim, control)

    @staticmethod
    def _stops_for_good(control: JobControl) -> bool:
        """Whether the steps themselves have to say how the job ends."""
        try:
            control.check()
        except Interrupted as interrupted:
            if interrupted.stop is Stop.CANCELLED:
                return True
            raise
        return False


def work(settings: WorkerSettings) -> int:
    return run_worker(settings, partial(build_worker, pipeline=GatedPipeline))


if __name__ == "__main__":
    main(work)
