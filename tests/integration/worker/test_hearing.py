"""A real worker over files of several channels: whose words they are, and what is missing."""

import io
import json
import wave
from itertools import pairwise

import numpy as np
import pytest

from support.audio.files import clips, wav
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.client import Client
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.job import Channel, Format, Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.worker import metrics


@pytest.fixture(scope="module")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[np.ndarray, str]]:
    """Two clips of the demo as samples at 16 kHz, with what is said in each."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    with DecoderPool(1) as pool:
        for index, (audio, said) in enumerate(clips()[:2]):
            path = folder / str(index)
            path.write_bytes(audio)
            with pool.decode(path) as stream:
                found.append((np.concatenate(list(stream)), said))
    return found


def dialogue(first: np.ndarray, second: np.ndarray) -> bytes:
    """Return a stereo file: the first speaker, on the right, has ended when the second begins."""
    silence = np.zeros_like
    right = np.concatenate([first, silence(second)])
    left = np.concatenate([silence(first), second])
    return wav(np.stack([left, right], axis=1))


def ending(client: Client, job: Job) -> Result:
    ((_, result),) = client.wait([client.submit(job)], timeout_seconds=60)
    assert result.state is State.DONE, result.error
    return result


def test_two_speakers_on_a_channel_each_come_in_order_of_time(client, speakers):
    (first, said_first), (second, said_second) = speakers
    result = ending(
        client,
        Job(
            audio=dialogue(first, second),
            channel=Channel.SPLIT,
            formats=(Format.TXT, Format.VTT, Format.VERBOSE_JSON),
            word_timestamps=True,
        ),
    )
    transcript = result.transcript
    turns = [segment.channel for segment in transcript.segments]
    assert turns == sorted(turns, reverse=True), "the right channel speaks first"
    heard = {
        channel: " ".join(s.text for s in transcript.segments if s.channel == channel)
        for channel in ("right", "left")
    }
    assert heard == {"right": said_first, "left": said_second}
    assert transcript.text == f"{said_first} {said_second}"
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    assert transcript.duration == pytest.approx((len(first) + len(second)) / 16_000, abs=0.01)
    assert result.renderings["txt"].startswith("right: ")
    assert "<v left>" in result.renderings["vtt"]
    segments = json.loads(result.renderings["verbose_json"])["segments"]
    assert [segment["channel"] for segment in segments] == turns
    assert [w.text for s in transcript.segments for w in s.words] == transcript.text.split()
    assert result.warnings == ()
    assert result.timing.total >= result.timing.engine > 0


@pytest.mark.parametrize(("channel", "speaker"), [(Channel.RIGHT, 0), (Channel.LEFT, 1)])
def test_one_channel_alone_has_one_speaker(client, speakers, channel, speaker):
    audio = dialogue(speakers[0][0], speakers[1][0])
    result = ending(client, Job(audio=audio, channel=channel))
    assert result.transcript.text == speakers[speaker][1]
    assert {segment.channel for segment in result.transcript.segments} == {None}


def test_speakers_who_speak_at_once_are_both_heard(client, speakers):
    (one, said_one), (other, said_other) = speakers
    length = max(len(one), len(other))
    left, right = (np.pad(samples, (0, length - len(samples))) for samples in (one, other))
    audio = wav(np.stack([left, right], axis=1))
    result = ending(client, Job(audio=audio, channel=Channel.SPLIT))
    for channel, said in (("left", said_one), ("right", said_other)):
        own = [s for s in result.transcript.segments if s.channel == channel]
        assert " ".join(segment.text for segment in own) == said
        assert all(a.end <= b.start for a, b in pairwise(own))


def test_a_mono_file_that_is_split_gives_its_words_once_and_says_so(client, speakers):
    samples, said = speakers[0]
    result = ending(client, Job(audio=wav(samples), channel=Channel.SPLIT))
    assert result.transcript.text == said
    assert {segment.channel for segment in result.transcript.segments} == {None}
    assert [warning.code for warning in result.warnings] == ["channel_missing"]


def test_a_channel_that_is_not_there_is_told_and_the_words_come(client, speakers):
    samples, said = speakers[0]
    result = ending(client, Job(audio=wav(samples), channel=Channel.RIGHT))
    assert result.transcript.text == said
    assert [warning.code for warning in result.warnings] == ["channel_missing"]


def test_more_channels_than_two_are_counted_on(client, speakers):
    samples, said = speakers[0]
    silent = np.zeros_like(samples)
    audio = wav(np.stack([silent, silent, silent, samples], axis=1))
    result = ending(client, Job(audio=audio, channel=Channel.SPLIT))
    assert result.transcript.text == said
    assert {segment.channel for segment in result.transcript.segments} == {"4"}


def cut_off(samples: np.ndarray) -> bytes:
    """Return a WAV file that says to be three seconds longer than it is."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate([samples, np.zeros(48_000, np.int16)]).tobytes())
    return buffer.getvalue()[:-96_000]


def test_a_warning_reaches_the_result_the_event_the_log_and_the_metrics(
    client, any_server: EmbeddedServer, shared_queue_id, worker, speakers
):
    counter = 'whisperfleet_warnings_total{code="cut_short"}'
    before = worker.counted(counter)
    result = ending(client, Job(audio=cut_off(speakers[0][0]), prompt="once"))
    assert [warning.code for warning in result.warnings] == ["cut_short"]
    assert result.transcript.text == speakers[0][1]
    assert worker.counted(counter) == before + 1
    with any_server.settings.connect() as raw:
        entries = raw.xrange(Keys(shared_queue_id).done)
    events = [DoneEvent.from_fields(fields) for _, fields in entries]
    assert [event.warnings for event in events if event.id == result.id] == [1]
    assert [
        line["warnings"]
        for line in worker.log
        if line.get("job_id") == result.id and line.get("message") == "the job ended"
    ] == [1]


def test_a_cached_transcript_keeps_its_warnings(client, worker, speakers):
    hit = 'whisperfleet_cache_lookups_total{answer="hit"}'
    job = Job(audio=cut_off(speakers[1][0]))
    first = ending(client, job)
    before = worker.counted(hit)
    again = ending(client, job)
    assert worker.counted(hit) == before + 1
    assert again.warnings == first.warnings
    assert again.transcript == first.transcript
    assert len(first.warnings) == 1


def test_no_warning_is_no_field_of_the_event(client, any_server, shared_queue_id, speakers):
    result = ending(client, Job(audio=wav(speakers[0][0])))
    assert result.warnings == ()
    with any_server.settings.connect() as raw:
        entries = raw.xrange(Keys(shared_queue_id).done)
    (fields,) = [fields for _, fields in entries if fields[b"id"].decode() == result.id]
    assert b"warnings" not in fields


def test_every_warning_is_counted_from_zero():
    (family,) = metrics.warnings.collect()
    codes = {sample.labels["code"] for sample in family.samples}
    assert {"cut_short", "language_uncertain", "words_left_out"} <= codes
