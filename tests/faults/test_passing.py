"""What people and servers do for longer than a lease, and what costs no job a second run."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from faults.scene import LEASE_SECONDS, Scene, clip, scene
from servers import wait_for
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer

OUTLAST_SECONDS = 1.5 * LEASE_SECONDS


def outlast_a_lease() -> None:
    ends = time.monotonic() + OUTLAST_SECONDS
    wait_for(lambda: time.monotonic() > ends, "a lease and a half to pass")


def cut_everybody_off(raw: redis.Redis) -> None:
    raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def pause(raw: redis.Redis) -> None:
    raw.execute_command("CLIENT", "PAUSE", round(OUTLAST_SECONDS * 1000), "ALL")
    # Answered when the pause is over.
    raw.ping()


def put_to_sleep(raw: redis.Redis) -> None:
    server = raw.info("server")["process_id"]
    os.kill(server, signal.SIGSTOP)
    outlast_a_lease()
    os.kill(server, signal.SIGCONT)


def run_an_endless_script(raw: redis.Redis) -> None:
    raw.config_set("busy-reply-threshold", 100)

    def never_end() -> None:
        with suppress(redis.RedisError):
            raw.eval("while true do end", 0)

    script = threading.Thread(target=never_end)
    script.start()
    outlast_a_lease()
    raw.script_kill()
    script.join()


def rename_the_stream(raw: redis.Redis) -> None:
    (stream,) = raw.scan_iter("wf:*:in:normal")
    raw.rename(stream, "elsewhere")
    outlast_a_lease()
    # Over the one that workers have made meanwhile.
    raw.rename("elsewhere", stream)


def demand_a_password(raw: redis.Redis) -> None:
    raw.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
    cut_everybody_off(raw)
    outlast_a_lease()
    raw.execute_command("ACL", "SETUSER", "default", "nopass")


def let_nobody_in(raw: redis.Redis) -> None:
    raw.config_set("maxclients", 1)
    cut_everybody_off(raw)
    outlast_a_lease()
    raw.config_set("maxclients", 10_000)


def hang_up_on_the_idle(raw: redis.Redis) -> None:
    raw.config_set("timeout", 1)
    outlast_a_lease()
    raw.config_set("timeout", 0)


DISTURBANCES = [
    *(pause, put_to_sleep, run_an_endless_script, rename_the_stream, demand_a_password),
    *(let_nobody_in, hang_up_on_the_idle),
]


@pytest.fixture
def stage(queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue on a server of the test's own, which keeps nothing but what SAVE writes."""
    with EmbeddedServer() as server, scene(server, queue_id, tmp_path) as made:
        yield made


def test_row_34_what_passes_costs_no_job_a_second_run(stage: Scene) -> None:
    with stage.worker("--max-in-flight", "2"), stage.worker("--max-in-flight", "2"):
        for disturb in DISTURBANCES:
            jobs = [
                stage.client.submit(
                    Job(id=f"{disturb.__name__}-{i}", audio=clip(), prompt="sleep 0.5")
                )
                for i in range(6)
            ]
            stage.wait_until_begun(jobs[:1])
            disturb(stage.raw)
            stage.assert_done(jobs)
            assert {job: stage.status(job).epoch for job in jobs} == dict.fromkeys(jobs, 1)
    stage.assert_invariants(accepted=6 * len(DISTURBANCES))


def test_row_35_a_server_that_comes_back_with_a_past_of_its_own(stage: Scene) -> None:
    with stage.standby() as worker:
        jobs = [stage.client.submit(Job(id=f"call-{i}", audio=clip())) for i in range(4)]
        stage.raw.save()
        worker.process.send_signal(signal.SIGCONT)
        stage.assert_done(jobs)
        stage.server.restart()
        # Nothing of what was done is known there, so it is done again.
        stage.assert_done(jobs)
    stage.assert_invariants(accepted=len(jobs))
