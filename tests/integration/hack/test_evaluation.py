"""The scores themselves: a wrong word counts, and so does a wrong time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hack.evaluation import evaluate, summarise
from whisperfleet.contract.result import Segment, Transcript
from whisperfleet.demo.clips import Clip, count_wrong_words, words_of

texts = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8)


@given(texts, texts)
def test_wrong_words_are_a_distance(said, heard):
    wrong = count_wrong_words(said, heard)
    assert (wrong == 0) == (said == heard)
    assert wrong == count_wrong_words(heard, said)
    assert abs(len(said) - len(heard)) <= wrong <= max(len(said), len(heard))


@given(texts, texts, texts)
def test_a_detour_is_not_shorter(first, second, third):
    assert count_wrong_words(first, third) <= (
        count_wrong_words(first, second) + count_wrong_words(second, third)
    )


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("one two three", "one two three", 0),
        ("one two three", "one three", 1),
        ("one two three", "one two two three", 1),
        ("one two three", "one too three", 1),
        ("", "thank you", 2),
        ("one two", "", 2),
    ],
)
def test_wrong_words_by_example(said, heard, wrong):
    assert count_wrong_words(said.split(), heard.split()) == wrong


def test_words_are_compared_without_case_and_punctuation():
    assert words_of(" Hello, WORLD! It's 5.") == ["hello", "world", "it's", "5"]


def a_clip(kind, words, phrases, seconds=10.0):
    return Clip(Path("a.ogg"), kind, seconds, tuple(words.split()), phrases, None)


def hearing(*segments):
    def transcriber(_path, _stopwatch):
        return Transcript(
            text=" ".join(text for _, _, text in segments),
            language="en",
            language_probability=1.0,
            duration=10.0,
            duration_after_vad=10.0,
            segments=tuple(
                Segment(
                    start=start,
                    end=end,
                    text=text,
                    avg_logprob=0.0,
                    no_speech_prob=0.0,
                    compression_ratio=1.0,
                    temperature=0.0,
                )
                for start, end, text in segments
            ),
        )

    return transcriber


def test_times_are_compared_with_the_nearest():
    clip = a_clip("short", "one two three", ((1.0, 2.0), (5.0, 6.0)))
    (score,) = evaluate(hearing((1.1, 2.0, "one two"), (5.0, 6.5, "four")), [clip])
    assert score.wrong_words == 1
    assert score.start_errors == pytest.approx((0.1, 0.0))
    assert score.end_errors == pytest.approx((0.0, 0.5))
    kind = summarise([score])["short"]
    assert kind.word_error_rate == pytest.approx(1 / 3)
    assert kind.timestamps_in_tolerance == pytest.approx(3 / 4)


def test_a_phrase_that_nobody_heard_counts_as_far_off():
    clip = a_clip("short", "one", ((1.0, 2.0),))
    kind = summarise(evaluate(hearing(), [clip]))["short"]
    assert kind.word_error_rate == 1.0
    assert kind.timestamps_in_tolerance == 0.0


def test_a_word_in_silence_is_wrong():
    kinds = summarise(
        [
            *evaluate(hearing((0.0, 1.0, "you")), [a_clip("silence", "", ())]),
            *evaluate(hearing(), [a_clip("noise", "", ())]),
        ]
    )
    assert kinds["silence"].wrong_words == 1
    assert kinds["silence"].word_error_rate == float("inf")
    assert kinds["noise"].wrong_words == 0
    assert kinds["noise"].word_error_rate == 0.0


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hack.evaluation", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_the_command(tmp_path):
    clips = Path(__file__).parents[2] / "data" / "heldout"
    entries = json.loads((clips / "clips.json").read_text())
    for entry in (entries[0], entries[-1]):
        (tmp_path / entry["file"]).symlink_to(clips / entry["file"])
    (tmp_path / "clips.json").write_text(json.dumps([entries[0], entries[-1]]))
    document = json.loads(run("demo", str(tmp_path), "--json").stdout)
    assert list(document) == [entries[0]["kind"], entries[-1]["kind"]]
    assert document["short"]["words"] == len(entries[0]["words"])
    assert "word_error_rate" in document["short"]
    table = run("demo", str(tmp_path)).stdout
    assert "short" in table
    assert "within 0.2" in table


def test_the_command_says_what_is_missing(tmp_path):
    done = run("demo", str(tmp_path))
    assert done.returncode == 2
    assert "clips.json cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
