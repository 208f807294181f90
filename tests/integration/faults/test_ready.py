"""Ready is who can claim, renew, publish and write scratch. Row 29.

Each fault comes over a worker at work that holds nothing, and goes away again without its help.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from support.faults.scene import PATIENT, Scene, clip, replica_of, scene
from support.servers import free_port, server_binary, wait_for
from support.workers import Worker
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue.access import worker_rules

ALL_SLOTS = 16_384


def wait_until_unready(worker: Worker, *parts: str) -> None:
    """Return once it is not ready with a sentence that has these parts."""

    def tells() -> bool:
        status, told = worker.get("/readyz")
        return status == 503 and all(part in told for part in parts)

    try:
        wait_for(tells, f"it is not ready, for: {parts}")
    except pytest.fail.Exception:
        pytest.fail(f"it says {worker.get('/readyz')} and not {parts}")
    assert worker.get("/livez")[0] == 200, "a restart would change nothing"


def assert_works_again(stage: Scene, worker: Worker) -> None:
    wait_for(lambda: worker.get("/readyz")[0] == 200, "it is ready again")
    stage.assert_done([stage.client.submit(Job(audio=clip()))])


def test_row_33_a_replica_is_not_ready(own_stage: Scene) -> None:
    with own_stage.worker() as worker, replica_of(own_stage) as replica:
        replica.replicaof("NO", "ONE")
        own_stage.raw.replicaof("127.0.0.1", replica.connection_pool.connection_kwargs["port"])
        wait_until_unready(worker, "after a fail-over the address must lead to the primary")
        own_stage.raw.replicaof("NO", "ONE")
        assert_works_again(own_stage, worker)
    own_stage.assert_invariants(accepted=1)


@contextmanager
def cluster_node(kind: str) -> Iterator[EmbeddedServer]:
    options = [("cluster-enabled", "yes"), ("cluster-port", str(free_port()))]
    with EmbeddedServer(server_binary(kind), options=options) as node:
        yield node


def ports(node: redis.Redis) -> tuple[int, int]:
    """Return where a node is found by clients, and by other nodes."""
    return int(node.config_get("port")["port"]), int(
        node.config_get("cluster-port")["cluster-port"]
    )


def meet(node: redis.Redis, other: redis.Redis) -> None:
    node.execute_command("CLUSTER MEET", "127.0.0.1", *ports(other))
    for one in (node, other):
        wait_for(lambda one=one: one.cluster("info")["cluster_known_nodes"] == "2", "they have met")


def test_row_33_a_node_without_the_queues_slot_is_not_ready(
    kind: str, queue_id: str, tmp_path: Path
) -> None:
    with (
        cluster_node(kind) as one,
        cluster_node(kind) as two,
        scene(one, queue_id, tmp_path) as stage,
        two.settings.connect() as other,
    ):
        nodes = (stage.raw, other)
        stage.raw.execute_command("CLUSTER ADDSLOTSRANGE", 0, ALL_SLOTS - 1)
        meet(*nodes)
        wait_for(lambda: stage.raw.cluster("info")["cluster_state"] == "ok", "it serves")
        slot = int(stage.raw.execute_command("CLUSTER KEYSLOT", stage.keys.meta))

        def give_slot_to(owner: redis.Redis) -> None:
            name = owner.execute_command("CLUSTER MYID").decode()
            # Who has the highest epoch is believed by the other.
            owner.execute_command("CLUSTER BUMPEPOCH")
            for node in sorted(nodes, key=lambda node: node is not owner):
                node.execute_command("CLUSTER SETSLOT", slot, "NODE", name)

        def empty_and_give_away() -> bool:
            stage.raw.flushall()
            try:
                give_slot_to(other)
            except redis.ResponseError as error:
                if "still hold keys" not in str(error):
                    raise
                # The worker has written meanwhile.
                return False
            return True

        with stage.worker() as worker:
            wait_for(empty_and_give_away, "the slot is given away")
            place = f"that is on 127.0.0.1:{two.port}"
            wait_until_unready(worker, place)
            give_slot_to(stage.raw)
            assert_works_again(stage, worker)


@contextmanager
def worker_with_an_account(stage: Scene) -> Iterator[Worker]:
    rules = ("on", ">secret", *worker_rules(stage.keys))
    stage.raw.execute_command("ACL SETUSER", "worker", *rules)
    account = {"WHISPERFLEET_REDIS_USERNAME": "worker", "WHISPERFLEET_REDIS_PASSWORD": "secret"}
    with stage.worker(*PATIENT, environment=account) as worker:
        yield worker


def test_row_33_an_account_without_a_right_is_not_ready(own_stage: Scene) -> None:
    # The other rights are in tests/integration/queue/test_trial.
    asked = {
        "xreadgroup": "nothing can be claimed",
        "xclaim": "leases cannot be renewed",
        "xadd": "results cannot be published",
    }
    with worker_with_an_account(own_stage) as worker:
        for command, told in asked.items():
            own_stage.raw.execute_command("ACL SETUSER", "worker", f"-{command}")
            wait_until_unready(worker, told, "give it the rights that docs/protocol.md has")
            own_stage.raw.execute_command("ACL SETUSER", "worker", f"+{command}")
            wait_for(lambda: worker.get("/readyz")[0] == 200, "it is ready again")
        assert_works_again(own_stage, worker)
    own_stage.assert_invariants(accepted=1)


def test_row_33_nothing_is_begun_that_cannot_be_ended(own_stage: Scene) -> None:
    with worker_with_an_account(own_stage) as worker:
        own_stage.raw.execute_command("ACL SETUSER", "worker", "-set")
        wait_for(lambda: worker.said("the worker claims no more"), "it claims no more")
        job = own_stage.client.submit(Job(id="call-1", audio=clip()))
        # Long enough for a worker that looks for work five times a second.
        own_stage.outlast_lease([job])
        assert own_stage.client.status(job) is None, "it was begun"
        own_stage.raw.execute_command("ACL SETUSER", "worker", "+set")
        own_stage.assert_done([job])
    own_stage.assert_invariants(accepted=1)


def test_row_33_an_account_for_other_keys_is_not_ready(own_stage: Scene) -> None:
    with worker_with_an_account(own_stage) as worker:
        own_stage.raw.execute_command("ACL SETUSER", "worker", "resetkeys", "~wf:{another}:*")
        wait_until_unready(worker, "give it the rights that docs/protocol.md has")
        own_stage.raw.execute_command("ACL SETUSER", "worker", f"~{own_stage.keys.prefix}*")
        assert_works_again(own_stage, worker)
    own_stage.assert_invariants(accepted=1)


@pytest.mark.skipif(not os.access("/proc", os.W_OK), reason="for root alone /proc seems writable")
def test_row_33_a_worker_that_starts_without_scratch_waits_for_it(stage: Scene) -> None:
    # A folder that is there, and takes no file from anyone.
    with stage.worker("--scratch", "/proc") as worker:
        wait_until_unready(worker, "the scratch folder /proc cannot be written")
        assert worker.said("the worker claims no more")
        assert not worker.said("Traceback")


def test_row_33_scratch_that_cannot_be_written_is_not_ready(stage: Scene, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with stage.worker("--scratch", str(scratch)) as worker:
        scratch.rmdir()
        wait_until_unready(worker, f"the scratch folder {scratch} cannot be written (No such file")
        job = stage.client.submit(Job(audio=clip()))
        scratch.mkdir()
        stage.assert_done([job])
        assert_works_again(stage, worker)
        assert stage.status(job).retries == 0
    stage.assert_invariants(accepted=2)
