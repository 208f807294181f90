"""A worker is built of parts that its caller may choose."""

from pathlib import Path

from support.audio.files import clips
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer

GATED = (str(Path(__file__).parents[2] / "support" / "programs" / "gated_worker.py"),)


def test_a_pipeline_of_ones_own_carries_the_jobs_out(
    any_server: EmbeddedServer, queue_id: str, keys: Keys
) -> None:
    gate = keys.job("gate")
    with (
        Client(any_server.settings, queue_id) as client,
        any_server.settings.connect() as raw,
        running_worker(any_server, queue_id, program=GATED),
    ):
        gated = client.submit(Job(audio=clips()[0][0], metadata={"gate": gate}))
        # Without its gate it would have ended before the last of these.
        for _ in range(3):
            free = client.submit(Job(audio=clips()[0][0]))
            assert dict(client.wait([free], timeout_seconds=60))[free].state is State.DONE
        status = client.status(gated)
        assert status is not None
        assert status.state == State.RUNNING
        raw.set(gate, 1)
        assert dict(client.wait([gated], timeout_seconds=60))[gated].state is State.DONE
