"""What people and servers do for longer than a lease, and what costs no job a second run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from support.faults.scene import LEASE_SECONDS, Scene, clip, scene
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer

OUTLAST_SECONDS = 1.5 * LEASE_SECONDS


def outlast(stage: Scene) -> None:
    stage.outlast_lease(["whoever runs"], OUTLAST_SECONDS)


def cut_everybody_off(stage: Scene) -> None:
    stage.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def pause(stage: Scene) -> None:
    stage.raw.execute_command("CLIENT", "PAUSE", round(OUTLAST_SECONDS * 1000), "ALL")
    # Answered when the pause is over.
    stage.raw.ping()


def put_to_sleep(stage: Scene) -> None:
    os.kill(stage.server.pid, signal.SIGSTOP)
    outlast(stage)
    os.kill(stage.server.pid, signal.SIGCONT)


def run_an_endless_script(stage: Scene) -> None:
    stage.raw.config_set("busy-reply-threshold", 100)

    def never_end() -> None:
        with suppress(redis.RedisError):
            stage.raw.eval("while true do end", 0)

    script = threading.Thread(target=never_end)
    script.start()
    outlast(stage)
    stage.raw.script_kill()
    script.join()


def rename_the_stream(stage: Scene) -> None:
    stream = stage.keys.stream("normal")
    stage.raw.rename(stream, "elsewhere")
    outlast(stage)
    # Over the one that workers have made meanwhile.
    stage.raw.rename("elsewhere", stream)


def demand_a_password(stage: Scene) -> None:
    stage.raw.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
    cut_everybody_off(stage)
    outlast(stage)
    stage.raw.execute_command("ACL", "SETUSER", "default", "nopass")


def let_nobody_in(stage: Scene) -> None:
    stage.raw.config_set("maxclients", 1)
    cut_everybody_off(stage)
    outlast(stage)
    stage.raw.config_set("maxclients", 10_000)


def hang_up_on_the_idle(stage: Scene) -> None:
    stage.raw.config_set("timeout", 1)
    outlast(stage)
    stage.raw.config_set("timeout", 0)


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
            disturb(stage)
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
