"""What the machine lacks is found behind an error, noted, and gone once a probe goes well."""

import errno
import io
import os
import resource
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gaierror

import pytest
import redis

from support.servers import wait_for
from whisperfleet.audio.addresses import Address
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.backoff import Backoff
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, MachineError, TransientError
from whisperfleet.worker.machine import Machine, lack_behind, on_this_machine, start_a_process
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing

SCRATCH = Path("/scratch")
SOON = Backoff(first_seconds=0.02, most_seconds=0.1)


def error_of(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def fails_because_of(cause: BaseException, *, hidden: bool) -> TransientError:
    """Return an error of a job as its steps raise it: the cause told, or left out of its words."""
    try:
        try:
            raise cause
        except type(cause) as error:
            failure = TransientError(Code.FETCH_FAILED, "the transfer broke off")
            raise failure from (None if hidden else error)
    except TransientError as failure:
        return failure


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (error_of(errno.ENOSPC), "/scratch cannot be written (No space left on device); make room"),
        (error_of(errno.EDQUOT), "raise the quota"),
        (error_of(errno.EROFS), "mount it writable"),
        (error_of(errno.EIO), "check the disk"),
        (error_of(errno.EMFILE), "raise its limit of open files"),
        (error_of(errno.ENFILE), "raise fs.file-max"),
        (error_of(errno.ENOMEM), "no memory is left to the worker"),
        (MemoryError(), "no memory is left to the worker"),
        (RuntimeError("can't start new thread"), "no thread can be started"),
        (MachineError("a decoder could not be started"), "a decoder could not be started"),
    ],
    ids=repr,
)
def test_a_lack_is_found_behind_what_it_brought_about(
    cause: BaseException, sentence: str, hidden: bool
) -> None:
    lack = lack_behind(fails_because_of(cause, hidden=hidden), SCRATCH)
    assert sentence in str(lack)


@pytest.mark.parametrize(
    "cause",
    [
        error_of(errno.ECONNREFUSED),
        error_of(errno.ENOENT),
        ssl.SSLError(ssl.SSLErrorNumber.SSL_ERROR_SYSCALL, "5, as EIO is"),
        gaierror(errno.EIO, "another kind of number"),
        InputError(Code.NOT_AUDIO, "it is a letter"),
        redis.ConnectionError("Connection refused"),
        RuntimeError("the decoder pool is closed"),
    ],
    ids=repr,
)
def test_what_is_somebody_elses_is_no_lack_of_the_machine(cause: BaseException) -> None:
    assert lack_behind(fails_because_of(cause, hidden=False), SCRATCH) is None
    with pytest.raises(type(cause)), on_this_machine(SCRATCH):
        raise cause


def test_a_file_that_cannot_be_opened_for_want_of_descriptors_fails_no_job() -> None:
    def refuse() -> None:
        try:
            raise error_of(errno.EMFILE)
        except OSError:
            raise InputError(Code.FETCH_REFUSED, "the file cannot be opened") from None

    with pytest.raises(MachineError, match="open files"), on_this_machine(SCRATCH):
        refuse()


def test_a_name_that_is_not_looked_up_for_want_of_descriptors_costs_no_retry() -> None:
    def resolve(*_: object) -> list[Address]:
        raise error_of(errno.EMFILE)

    with pytest.raises(MachineError, match="open files"), on_this_machine(SCRATCH):
        Fetcher(FetchPolicy(), resolve).fetch("https://media.example.org/a.wav", io.BytesIO())


@contextmanager
def watched(
    folder: Path,
    pause: Callable[[int], float] = SOON.seconds,
    start_process: Callable[[], None] = start_a_process,
) -> Iterator[tuple[Machine, Standing]]:
    standing = Standing()
    with Machine(folder, standing, 0.02, pause=pause, start_process=start_process) as machine:
        yield machine, standing


def is_well(standing: Standing) -> bool:
    return not standing.trouble(Need.MACHINE)


def test_a_folder_that_is_gone_and_comes_back_is_noted_within_a_beat(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    with watched(folder) as (_, standing):
        assert f"{folder} cannot be written" in standing.trouble(Need.MACHINE)
        folder.mkdir()
        wait_for(lambda: is_well(standing), "it works")
        folder.rmdir()
        wait_for(lambda: not is_well(standing), "it lacks again")
        assert "make it anew" in standing.trouble(Need.MACHINE)


def test_what_a_job_met_stays_noted_for_a_pause_that_grows(tmp_path: Path) -> None:
    pauses: list[int] = []

    def pause(lacks: int) -> float:
        pauses.append(lacks)
        return 0.05

    with watched(tmp_path, pause) as (machine, standing):
        for _ in range(3):
            machine.blame(error_of(errno.ENOSPC))
            machine.blame(error_of(errno.ENOSPC))
            assert "make room there" in standing.trouble(Need.MACHINE)
            wait_for(lambda: is_well(standing), "a probe went well")
        machine.blame(error_of(errno.ECONNREFUSED))
        assert is_well(standing)
    assert pauses == [1, 2, 3]


def test_a_machine_that_starts_no_process_is_not_well_again(tmp_path: Path) -> None:
    tried, possible = threading.Event(), threading.Event()

    def start_process() -> None:
        tried.set()
        # A program that is not there stands for a kernel that starts none.
        start_a_process(sys.executable if possible.is_set() else "/no/such/program")

    with watched(tmp_path, start_process=start_process) as (machine, standing):
        assert is_well(standing), "while all is well none is started"
        machine.blame(MachineError("a decoder could not be started"))
        wait_for(tried.is_set, "it tries")
        wait_for(lambda: "no process can be started" in standing.trouble(Need.MACHINE), "it fails")
        possible.set()
        wait_for(lambda: is_well(standing), "one can be started")


def test_descriptors_are_kept_back_for_the_time_when_none_are_left(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with watched(tmp_path) as (_, standing):
        assert is_well(standing)
        taken = [os.open(os.devnull, os.O_RDONLY)]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, limits[1]))
            wait_for(lambda: not is_well(standing), "it is noticed")
            assert "no file descriptor is left" in standing.trouble(Need.MACHINE)
            # What was kept back is there for whoever answers and hands back now.
            taken += [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for descriptor in taken:
                os.close(descriptor)
        wait_for(lambda: is_well(standing), "there are others again")


def open_descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    before = len(open_descriptors())
    with watched(tmp_path) as (machine, standing):
        machine.blame(error_of(errno.EMFILE))
        wait_for(lambda: is_well(standing), "a probe went well")
        assert list(tmp_path.iterdir()) == []
    assert len(open_descriptors()) == before
