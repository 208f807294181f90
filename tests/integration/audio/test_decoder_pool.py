"""The processes of the decoder: they die of anything, and nothing dies with them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from support.audio.media import write_audio
from whisperfleet.audio import decoder, decoder_child
from whisperfleet.audio.decoder import DecodeLimits, DecoderPool, StreamClosedError
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, MachineError, StartupError, TransientError

PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    """Longer than what fits into the socket, so that its decoder is held up in the middle."""
    folder = tmp_path_factory.mktemp("audio")
    return write_audio(folder / "minute.wav", "wav", "pcm_s16le", 16_000, seconds=60)


def seconds_of(pool, path):
    with pool.decode(path) as stream:
        return sum(len(block) for block in stream) / 16_000


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_in_the_middle_of_a_file(minute, number):
    with DecoderPool(1) as pool:
        stream = pool.decode(minute)
        next(stream)
        os.kill(stream._child.pid, number)
        with pytest.raises(TransientError) as caught:
            list(stream)
        assert caught.value.code is Code.DECODER_CRASHED
        assert number.name in caught.value.message
        assert seconds_of(pool, minute) == 60


def test_a_decoder_that_hangs(minute):
    with DecoderPool(1, DecodeLimits(60, stall_seconds=1.5)) as pool:
        stream = pool.decode(minute)
        next(stream)
        pid = stream._child.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TransientError) as caught:
            list(stream)
        assert caught.value.code is Code.DECODER_TIMEOUT
        assert not is_running(pid)
        assert seconds_of(pool, minute) == 60


def test_a_slow_reader_is_no_hanging_decoder(minute):
    with DecoderPool(1, DecodeLimits(60, stall_seconds=1.5)) as pool, pool.decode(minute) as stream:
        next(stream)
        time.sleep(2)
        assert sum(len(block) for block in stream) == 59 * 16_000


def test_a_death_between_two_files_costs_no_job(minute):
    with DecoderPool(1) as pool:
        with pool.decode(minute) as stream:
            pid = stream._child.pid
            list(stream)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_running(pid))
        assert seconds_of(pool, minute) == 60


def test_a_process_is_kept_after_a_clean_end_and_replaced_after_an_early_one(minute, tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"no audio")
    with DecoderPool(1) as pool:
        pids = []
        for path in (minute, bad, minute):
            stream = pool.decode(path)
            pids.append(stream._child.pid)
            with suppress(InputError):
                list(stream)
        assert len(set(pids)) == 1
        with pool.decode(minute) as stream:
            next(stream)
        assert not is_running(pids[0])
        with pytest.raises(StreamClosedError):
            next(stream)
        assert seconds_of(pool, minute) == 60


def test_a_process_is_replaced_after_its_share_of_files(minute):
    with DecoderPool(1, files_per_process=2) as pool:
        pids = []
        for _ in range(4):
            with pool.decode(minute) as stream:
                pids.append(stream._child.pid)
                list(stream)
        assert pids[0] == pids[1] != pids[2] == pids[3]


def test_closing_a_stream_frees_the_thread_that_reads_it(minute):
    with DecoderPool(1) as pool:
        stream = pool.decode(minute)
        next(stream)
        os.kill(stream._child.pid, signal.SIGSTOP)  # so that the reader waits, for up to a minute
        ended = []

        def read():
            try:
                list(stream)
            except StreamClosedError as error:
                ended.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        until(stream._reading.locked)
        stream.close()
        stream.close()
        reader.join(PATIENCE_SECONDS)
        assert not reader.is_alive()
        assert len(ended) == 1
        assert seconds_of(pool, minute) == 60


def test_a_second_file_waits_for_a_free_process(minute):
    with DecoderPool(1) as pool:
        first = pool.decode(minute)
        done = []
        second = threading.Thread(target=lambda: done.append(seconds_of(pool, minute)))
        second.start()
        assert next(first).shape == (16_000,)
        assert not done
        list(first)
        second.join(PATIENCE_SECONDS)
        assert done == [60]


def test_closing_the_pool_ends_everything(minute):
    pool = DecoderPool(2)
    pool.wait_until_ready()
    stream = pool.decode(minute)
    next(stream)
    busy = stream._child.pid
    idle = pool.decode(minute)
    pid = idle._child.pid
    list(idle)
    pool.close()
    pool.close()
    assert not is_running(busy)
    assert not is_running(pid)
    with pytest.raises(StreamClosedError):
        list(stream)
    with pytest.raises(RuntimeError, match="closed"):
        pool.decode(minute)


def test_processes_outlive_the_thread_that_made_the_pool(minute):
    pools = []
    maker = threading.Thread(target=lambda: pools.append(DecoderPool(1)))
    maker.start()
    maker.join()
    with pools[0] as pool:
        pool.wait_until_ready()
        assert seconds_of(pool, minute) == 60
        with pool.decode(minute) as stream:
            next(stream)
            stream._child.kill()  # the replacement is started from here, but not by this thread
        assert seconds_of(pool, minute) == 60


PARENT = """
import os, signal, sys
from pathlib import Path
from whisperfleet.audio.decoder import DecoderPool

pool = DecoderPool(2)
pool.wait_until_ready()
stream = pool.decode(Path(sys.argv[1]))
next(stream)
busy = stream._child.pid
other = pool.decode(Path(sys.argv[1]))
idle = other._child.pid
list(other)
print(busy, idle, flush=True)
if sys.argv[2] == "killed":
    os.kill(busy, signal.SIGSTOP)  # so that it cannot notice by itself
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("ending", ["killed", "returned"])
def test_no_decoder_outlives_its_parent(minute, ending):
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(minute), ending],
        stdout=subprocess.PIPE,
        timeout=100,
        check=False,
    )
    assert parent.returncode == (-signal.SIGKILL if ending == "killed" else 0)
    pids = [int(pid) for pid in parent.stdout.split()]
    assert len(set(pids)) == 2
    until(lambda: not any(is_running(pid) for pid in pids))


def test_signals_of_a_terminal_do_not_end_a_decoder(minute):
    with DecoderPool(1) as pool:
        with pool.decode(minute) as stream:
            next(stream)
            os.kill(stream._child.pid, signal.SIGINT)
            os.kill(stream._child.pid, signal.SIGTERM)
            assert sum(len(block) for block in stream) == 59 * 16_000
        assert seconds_of(pool, minute) == 60


@pytest.fixture
def broken_interpreter(tmp_path, monkeypatch):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nexit 7\n")
    path.chmod(0o755)
    monkeypatch.setattr(decoder_child.sys, "executable", str(path))


@pytest.mark.usefixtures("broken_interpreter")
def test_a_decoder_that_cannot_start_stops_the_worker_from_starting():
    with DecoderPool(2) as pool, pytest.raises(StartupError, match="could not be started"):
        pool.wait_until_ready()


@pytest.mark.usefixtures("broken_interpreter")
def test_a_decoder_that_cannot_start_is_no_fault_of_the_job(minute):
    with DecoderPool(1) as pool:
        for _ in range(3):
            with pytest.raises(MachineError, match="exit code 7"):
                pool.decode(minute)


def test_an_interpreter_that_is_missing(minute, tmp_path, monkeypatch):
    monkeypatch.setattr(decoder_child.sys, "executable", str(tmp_path / "missing"))
    with DecoderPool(1) as pool:
        with pytest.raises(MachineError, match="No such file"):
            pool.decode(minute)
        monkeypatch.undo()
        # What was started in vain meanwhile is not held against what comes after it.
        assert seconds_of(pool, minute) == 60


def test_a_disk_that_does_not_give_a_file_back_is_no_fault_of_the_file(monkeypatch):
    # The kernel answers EIO at its beginning, where nothing is mapped.
    monkeypatch.setattr(decoder, "fstat", lambda _: os.stat_result((0,) * 6 + (1, 0, 0, 0)))
    with DecoderPool(1) as pool, Path("/proc/self/mem").open("rb") as unreadable:
        for _ in range(2):
            with (
                pytest.raises(MachineError, match="Input/output error"),
                pool.decode(unreadable) as stream,
            ):
                list(stream)


IMPOSTOR = """#!/bin/sh
printf 'R\\000\\000\\000\\000' >&0
printf '{}' >&0
sleep 60
"""


DROPPED = '{"finding": "packets_dropped", "detail": {"packets": 1}}  '


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(r"B\377\377\377\377", id="a length beyond all blocks"),
        pytest.param(r"B\000\000\000\001x", id="half a sample"),
        pytest.param(r"?\000\000\000\000", id="an unknown kind"),
        pytest.param(r"F\000\000\000\002{}", id="a failure without a problem"),
        pytest.param(r"W\000\000\000\002{}", id="a warning without a finding"),
        pytest.param(2 * (r"W\000\000\000\072" + DROPPED), id="a warning twice"),
        pytest.param(r"I\000\000\000\002[]", id="information without channels"),
        pytest.param(2 * (r"I\000\000\000\016" + '{"channels":1}'), id="information twice"),
    ],
)
def test_a_decoder_taken_over_by_a_file_is_not_believed(minute, tmp_path, monkeypatch, frame):
    path = tmp_path / "python"
    path.write_text(IMPOSTOR.format(frame))
    path.chmod(0o755)
    monkeypatch.setattr(decoder_child.sys, "executable", str(path))
    monkeypatch.setattr(decoder_child, "_END_SECONDS", 0.2)
    with DecoderPool(1) as pool:
        stream = pool.decode(minute)
        pid = stream._child.pid
        with pytest.raises(TransientError) as caught:
            list(stream)
        assert caught.value.code is Code.DECODER_CRASHED
        assert "not of the protocol" in caught.value.message
        assert not is_running(pid)


def test_limits_must_allow_something():
    with pytest.raises(ValueError, match="above 0"):
        DecodeLimits(60, max_channels=0)
    with pytest.raises(ValueError, match="at least one process"):
        DecoderPool(0)


def test_a_file_that_is_read_slowly_does_not_keep_others_waiting(minute):
    with DecoderPool(2, warm=1) as pool, pool.decode(minute) as slow, pool.decode(minute) as quick:
        assert len(next(slow)) > 0
        assert sum(len(block) for block in quick) == 60 * 16_000
