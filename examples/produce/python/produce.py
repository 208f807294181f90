"""Send audio to a fleet and print its words: python produce.py https://example.org/call.ogg."""

import os
import sys
from pathlib import Path

from whisperfleet import Client, Job, RedisSettings
from whisperfleet.errors import ResultGoneError

WAIT_SECONDS = 600


def main(source: str) -> int:
    """Send one job, wait for it, and return the exit code."""
    settings = RedisSettings(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    queue_id = os.environ.get("QUEUE", "default.calls")
    # An address, or a file of up to 1 MiB that travels with the job.
    job = Job(url=source) if "://" in source else Job(audio=Path(source).read_bytes())
    with Client(settings, queue_id) as client:
        job_id = client.submit(job, priority="normal")
        try:
            # Redis may restart meanwhile.
            ((_, result),) = client.wait([job_id], timeout_seconds=WAIT_SECONDS)
        except (TimeoutError, ResultGoneError) as error:
            print(error, file=sys.stderr)
            return 1
    if result.transcript is None:
        print(f"{job_id} is {result.state}: {result.error}", file=sys.stderr)
        return 1
    print(result.transcript.text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
