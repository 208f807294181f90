"""Memory is bounded by what is in flight, not by how many jobs there were or how long a file is."""

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle, islice
from pathlib import Path

import av
import numpy as np
import pytest

from hack.process_tree import resident_bytes
from support.audio.files import clips, wav
from support.servers import wait_for
from support.workers import running_worker, sample_peak
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State

MIB = 1024**2
# Half of what the samples of the jobs between two looks would take: 700 KiB a job, most of it a
# pause. What allocators keep comes and goes by 30 MiB (370 to 403 within 300 jobs), once by 49.
GROWTH_LIMIT = 110 * 350 * 1024
# What stays of each job shows in every round, what only came at its time does not.
ROUNDS = 3
PAUSE_SECONDS = 20
# One window at a time: what batches of changing sizes take comes and goes by 30 MiB.
ONE_BY_ONE = ("--batch-size", "1", "--max-in-flight", "4", "--cache-seconds", "0")
# A worker's most differs from run to run by some 15 MiB. Audio that stayed would take 55 MiB more.
LENGTH_LIMIT = 24 * MIB
# Ten minutes of speech should fill many batches: after few of them a worker has not had the most
# that it needs yet (with 16: 590 MiB in its first file of half an hour, 615 in its third).
SMALL_BATCHES = ("--batch-size", "4")


def test_memory_does_not_grow_with_the_number_of_jobs(any_server, queue_id, report_figure):
    client = Client(any_server.settings, queue_id)
    keys = Keys(queue_id)
    pause = np.zeros(PAUSE_SECONDS * 16_000, np.int16)
    audio = wav(np.append(min(_decoded_clips(), key=len), pause))
    with (
        any_server.settings.connect() as raw,
        running_worker(any_server, queue_id, *ONE_BY_ONE) as worker,
    ):

        def done() -> int:
            return int(raw.hget(keys.counters, State.DONE.value) or 0)

        def least_resident_during(jobs: int) -> int:
            """Play so many more jobs; what is only taken for a moment does not count."""
            wanted, least = done() + jobs, resident_bytes(worker.process.pid)
            for _ in range(jobs):
                client.submit(Job(audio=audio))
            while (ended := done()) < wanted:
                wait_for(lambda seen=ended: done() > seen, "the next job is done")
                least = min(least, resident_bytes(worker.process.pid))
            return least

        def growth() -> int:
            early = least_resident_during(20)
            least_resident_during(90)
            late = least_resident_during(20)
            report_figure(f"resident: {early / MIB:.0f} MiB, 110 jobs later {late / MIB:.0f} MiB")
            return late - early

        least_resident_during(30)
        assert any(growth() < GROWTH_LIMIT for _ in range(ROUNDS))


def write_speech(path: Path, seconds: int) -> None:
    """Write the bundled clips, each followed by as long a pause, as Ogg Opus of that length."""
    speech = [np.append(clip, np.zeros_like(clip)) for clip in islice(_decoded_clips(), 3)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=16_000, layout="mono")
        missing = seconds * 16_000
        for clip in cycle(speech):
            frame = av.AudioFrame.from_ndarray(clip[None, :missing], "s16", "mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            missing -= frame.samples
            if not missing:
                break
        container.mux(stream.encode(None))


def _decoded_clips() -> Iterator[np.ndarray]:
    for audio, _ in clips():
        with av.open(io.BytesIO(audio)) as container:
            resampler = av.AudioResampler("s16", "mono", 16_000)
            frames = chain.from_iterable(map(resampler.resample, container.decode(audio=0)))
            yield np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_length_of_a_file(
    any_server, queue_id, tmp_path, report_figure
):
    short = peak_of(any_server, queue_id, tmp_path, 600)
    long = peak_of(any_server, queue_id, tmp_path, 2_400)
    report_figure(
        f"peak for a file of 10 minutes: {short / MIB:.0f} MiB, of 40: {long / MIB:.0f} MiB"
    )
    assert long - short < LENGTH_LIMIT


def peak_of(server, queue_id: str, folder: Path, seconds: int) -> int:
    """Return the most memory that a fresh worker had resident while it worked on such a file."""
    path = folder / f"{seconds}.ogg"
    write_speech(path, seconds)
    client = Client(server.settings, queue_id)
    options = ("--file-roots", str(folder), "--beam-size", "1", *SMALL_BATCHES)
    with running_worker(server, queue_id, *options) as worker:
        stop = threading.Event()
        with ThreadPoolExecutor(1) as threads:
            peak = threads.submit(sample_peak, worker.process.pid, stop)
            job = client.submit(Job(url=path.as_uri()))
            try:
                ((_, result),) = client.wait([job], timeout_seconds=500)
            finally:
                stop.set()
            assert result.state is State.DONE, result.error
            assert result.transcript.duration == pytest.approx(seconds, abs=1)
            assert len(result.transcript.text.split()) > seconds / 8, "the file should hold speech"
            return peak.result()
