"""A server that dies, stays away, is flushed, fails over or is full, and replies that get lost.

Rows 6 to 14.
"""

import time
from dataclasses import replace

import pytest
import redis

from hack.proxy import Proxy
from support.faults.scene import LEASE_SECONDS, PATIENT, Scene, clip, replica_of
from support.queue.consumers import done
from support.servers import wait_for
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.queue import Concluded, Released, Renewal, Settled, WorkQueue

IDS = ("call-1", "call-2", "call-3")


def test_row_06_the_reply_to_finish_lost(own_stage: Scene) -> None:
    stage = own_stage
    with Proxy(stage.server.port) as line, stage.worker(*PATIENT, through=line) as worker:
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        line.lose_reply_with(b"published")
        stage.open_gate()
        stage.assert_done(["call-1"])
        wait_for(
            lambda: worker.counted('whisperfleet_finishes_total{answer="already"}') == 1,
            "the worker asks again and learns that it was heard",
        )
        assert line.lost == 1
    stage.assert_invariants(accepted=1)


def test_row_07_the_reply_to_xadd_lost_and_duplicates_sent(own_stage: Scene) -> None:
    stage = own_stage
    job = Job(id="call-1", audio=clip(), prompt="sleep 0.2")
    with Proxy(stage.server.port) as line, Client(line.settings, stage.keys.queue_id) as sender:
        line.lose_reply_with(b"-0\r\n")
        assert sender.submit(job) == "call-1"
        assert line.lost == 1
        sender.submit(job)
    assert stage.raw.xlen(stage.keys.stream("normal")) == 3
    with stage.worker() as worker:
        stage.assert_done(["call-1"])
        # One more, of a job that has ended.
        stage.client.submit(job)
        wait_for(lambda: stage.total("duplicates") == 3, "the duplicates to be dropped")
        assert worker.counted("whisperfleet_jobs_total") == 1
    stage.assert_invariants(accepted=1)


def test_row_08_the_reply_to_a_claim_lost(own_stage: Scene) -> None:
    stage, beat = own_stage, 4.0
    # Leases cannot lapse here, and a third renewal would come later than the bound below.
    options = ("--lease-seconds", "120", "--beat-seconds", str(beat))
    with Proxy(stage.server.port) as line, stage.worker(*options, through=line):
        line.lose_reply_with(b"\r\nrun\r\n")
        job_id = stage.client.submit(Job(audio=clip()))
        stage.assert_done([job_id])
        assert line.lost == 1
    status = stage.status(job_id)
    assert (status.epoch, status.deliveries) == (2, 1)
    assert "its claim never reached" in status.history
    # The first search for orphans may come before the entry is old enough.
    between = (status.claimed_at - status.enqueued_at).total_seconds()
    assert between < 2.75 * beat
    stage.assert_invariants(accepted=1)


def test_row_09_the_server_killed_while_workers_are_busy(own_stage: Scene) -> None:
    ids = [f"call-{number}" for number in range(30)]
    with own_stage.worker("--max-in-flight", "3"), own_stage.worker("--max-in-flight", "3"):
        own_stage.client.submit_many(
            Job(id=job_id, audio=clip(), prompt="sleep 0.03") for job_id in ids
        )
        for ended in (5, 12):
            wait_for(lambda: own_stage.raw.xlen(own_stage.keys.done) >= ended, f"{ended} jobs")  # noqa: B023
            own_stage.server.restart()
        own_stage.assert_done(ids)
    own_stage.assert_invariants(accepted=30)


def test_row_10_the_server_down_for_longer_than_the_lease(own_stage: Scene) -> None:
    with own_stage.worker("--max-in-flight", "2"), own_stage.worker():
        for job_id in IDS:
            own_stage.gated(job_id)
        own_stage.wait_until_begun(IDS)
        own_stage.server.kill()
        own_stage.outlast_lease(IDS)
        own_stage.server.start()
        # Two beats of patience and two leases more: who would reclaim has had the time to.
        own_stage.outlast_lease(IDS)
        own_stage.open_gate()
        own_stage.assert_done(IDS)
    assert {own_stage.status(job_id).epoch for job_id in IDS} == {1}
    assert own_stage.total("reclaimed") == 0
    own_stage.assert_invariants(accepted=3)


def test_row_10_everybody_cut_off_for_longer_than_the_lease(stage: Scene) -> None:
    """The server was up all the while, and every slot busy: nobody asked it, nobody noticed."""
    options = ("--max-in-flight", "1", "--lease-seconds", "3", "--beat-seconds", "1.5")
    other_gate = stage.gate.with_name("other-gate")
    job = Job(audio=clip(), prompt=f"gate {other_gate}")
    with (
        Proxy(stage.server.port) as near,
        Proxy(stage.server.port) as far,
        stage.worker(*options, through=near),
    ):
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        with stage.worker(*options, through=far):
            stage.client.submit(job.model_copy(update={"id": "call-2"}))
            stage.wait_until_begun(["call-2"])
            stage.client.submit(job.model_copy(update={"id": "call-3"}))
            near.cut()
            far.cut()
            stage.outlast_lease(IDS, seconds=4)
            stage.open_gate()
            near.point_at(stage.server.port)
            # The first is free now, and looks for lapsed leases before it takes what is new; the
            # other has not been able to renew its own.
            stage.wait_until_begun(["call-3"])
            far.point_at(stage.server.port)
            other_gate.touch()
            stage.assert_done(IDS)
    assert {stage.status(job_id).epoch for job_id in IDS} == {1}
    assert stage.total("reclaimed") == 0
    stage.assert_invariants(accepted=3)


def test_row_11_flushall(own_stage: Scene) -> None:
    with own_stage.worker("--max-in-flight", "2") as worker:
        own_stage.gated("call-1")
        own_stage.wait_until_begun(["call-1"])
        own_stage.raw.flushall()
        own_stage.client.submit(Job(id="call-2", audio=clip()))
        wait_for(
            lambda: any(entry.get("reason") == "fenced" for entry in list(worker.log)),
            "the worker learns that its job is nobody's",
        )
        own_stage.open_gate()
        own_stage.assert_done(["call-2"])
        assert own_stage.client.result("call-1") is None
    own_stage.assert_invariants(accepted=1)


def test_row_11_the_group_destroyed(own_stage: Scene) -> None:
    stage = own_stage
    stream = stage.keys.stream("normal")

    def is_pending() -> bool:
        groups = [group["name"].decode() for group in stage.raw.xinfo_groups(stream)]
        return (
            stage.keys.group in groups
            and stage.raw.xpending(stream, stage.keys.group)["pending"] == 1
        )

    with stage.worker("--max-in-flight", "2"):
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        stage.raw.xgroup_destroy(stream, stage.keys.group)
        # Read again from the beginning, the entry is a job that its worker keeps.
        wait_for(is_pending, "the job is pending again")
        stage.outlast_lease(["call-1"])
        assert stage.status("call-1").epoch == 1
        stage.open_gate()
        stage.assert_done(["call-1"])
    stage.assert_invariants(accepted=1)


def promote(replica: redis.Redis, primary: redis.Redis) -> None:
    """Cut a replica off, once it has all that was written so far, and let it write."""
    sent = primary.info("replication")["master_repl_offset"]
    wait_for(
        lambda: replica.info("replication")["slave_repl_offset"] >= sent, "the replica catches up"
    )
    replica.replicaof("NO", "ONE")


def test_row_12_a_failover_that_loses_the_tail(own_stage: Scene) -> None:
    old = own_stage
    with Proxy(old.server.port) as address, replica_of(old) as replica:
        port = int(replica.connection_pool.connection_kwargs["port"])
        with old.worker("--max-in-flight", "2", through=address):
            old.gated("finished-in-the-tail")
            old.wait_until_begun(["finished-in-the-tail"])
            promote(replica, old.raw)
            old.open_gate()
            old.assert_done(["finished-in-the-tail"])
            old.gate.unlink()
            old.gated("sent-in-the-tail")
            old.wait_until_begun(["sent-in-the-tail"])
            old.server.kill()
            address.point_at(port)
            with Client(address.settings, old.keys.queue_id) as client:
                new = replace(old, client=client, raw=replica)
                # To be sure of both, a producer sends both again, under their ids.
                sent = ("finished-in-the-tail", "sent-in-the-tail")
                for job_id in sent:
                    new.gated(job_id)
                new.open_gate()
                new.assert_done(sent)
                # To the new server the first was running, so its end there is a second attempt's.
                assert new.status("finished-in-the-tail").epoch == 2
                wait_for(lambda: new.total("duplicates") == 1, "its second entry is dropped")
                new.assert_invariants(accepted=2)


def test_row_26_a_failover_under_connections_that_live(own_stage: Scene) -> None:
    old = own_stage
    with (
        Proxy(old.server.port) as address,
        replica_of(old) as replica,
        Client(address.settings, old.keys.queue_id) as client,
        old.worker("--max-in-flight", "2", through=address),
        old.worker("--max-in-flight", "2", through=address),
    ):
        new = replace(old, client=client, raw=replica)
        client.submit(Job(id="before", audio=clip()))
        new.assert_done(["before"])
        port = int(replica.connection_pool.connection_kwargs["port"])
        promote(replica, old.raw)
        address.lead_to(port)
        old.raw.replicaof("127.0.0.1", port)

        sent_at = time.monotonic()
        # Without an id of its own, so that the client may not send it twice.
        client.submit(Job(audio=clip()))
        assert time.monotonic() - sent_at < 5
        new.gated("long")
        new.wait_until_begun(["long"])
        new.outlast_lease(["long"], 4 * LEASE_SECONDS)
        assert new.status("long").epoch == 1
        new.open_gate()
        new.assert_done(["long"])
        wait_for(lambda: new.total("done") == 3, "all three are done")
        new.assert_invariants(accepted=3)


def test_row_12_an_attempt_of_a_lost_record_is_fenced_though_epochs_began_anew(
    own_stage: Scene,
) -> None:
    queue = WorkQueue(own_stage.raw, own_stage.keys, "worker-1")
    own_stage.gated("call-1")
    before = queue.claim()
    own_stage.raw.flushall()
    own_stage.gated("call-1")
    after = queue.claim()
    assert before.epoch == after.epoch == 1

    assert queue.renew([before, after]) == {before: Renewal.FENCED, after: Renewal.OK}
    assert queue.settle(before, Released()) is Settled.FENCED
    assert queue.settle(before, Concluded(done(before))) is Settled.FENCED
    assert queue.settle(after, Concluded(done(after))) is Settled.PUBLISHED
    own_stage.assert_invariants(accepted=1)


def test_row_13_script_flush(own_stage: Scene) -> None:
    stage = own_stage
    with stage.worker():
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        stage.raw.script_flush()
        beat = stage.raw.hget(stage.keys.job("call-1"), "beat")
        wait_for(
            lambda: stage.raw.hget(stage.keys.job("call-1"), "beat") != beat,
            "a renewal after the flush",
        )
        stage.raw.script_flush()
        stage.open_gate()
        stage.assert_done(["call-1"])
        stage.raw.script_flush()
        stage.client.submit(Job(id="call-2", audio=clip()))
        stage.assert_done(["call-2"])
    stage.assert_invariants(accepted=2)


def test_row_14_maxmemory_reached(own_stage: Scene) -> None:
    with own_stage.worker("--max-in-flight", "1", "--cache-seconds", "60") as worker:
        for job_id in IDS:
            own_stage.gated(job_id)
        own_stage.wait_until_begun(IDS[:1])
        own_stage.raw.config_set("maxmemory", "1")
        with pytest.raises(redis.OutOfMemoryError):
            own_stage.client.submit(Job(id="call-4", audio=clip()))
        own_stage.outlast_lease(IDS[:1])
        own_stage.open_gate()
        own_stage.assert_done(IDS)
        assert {own_stage.status(job_id).epoch for job_id in IDS} == {1}
        assert worker.said("cache cannot be written")
    own_stage.raw.config_set("maxmemory", "0")
    books = own_stage.assert_invariants(accepted=3)
    assert books.states == {State.DONE: 3}
