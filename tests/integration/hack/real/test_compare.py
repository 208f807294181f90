"""The library and the workers' steps on the demo's own clips, and the bounds between them."""

import hashlib
from dataclasses import replace

import pytest
from rich.console import Console

from hack.real.__main__ import compare
from hack.real.board import BOUNDS, WHOLE, Board, breaches
from hack.real.contenders import (
    BATCHED,
    CONTENDERS,
    LIBRARY,
    LIBRARY_ALL,
    LIBRARY_TIMED,
    OURS,
    PARALLEL,
    PARALLEL_ALL,
    SEQUENTIAL,
    by_source,
)
from hack.real.corpus.build import CONTAINERS, LANGUAGES, LOOPS, NARROW
from hack.real.corpus.compose import Phrase
from hack.real.corpus.manifest import Recording
from hack.real.errors import GroundError
from hack.real.report import board_tables, breach_table, picture
from hack.real.score import FileScore, Score
from whisperfleet.demo.clips import demo_clips
from whisperfleet.engine.ctranslate2.models import resolve_model

EVERYONE = (LIBRARY, LIBRARY_TIMED, BATCHED, LIBRARY_ALL, *OURS)
RIGHT = FileScore(100, 0, 0, 0, (), (), (0.1,), (), language_right=True)
SILENT = replace(RIGHT, words=0)


def recordings(count):
    """Return clips of the demo: a phrase each, which is all that their manifest knows."""
    for clip in demo_clips()[:count]:
        start, end = clip.phrases[0][0], clip.phrases[-1][1]
        yield Recording(
            path=clip.path,
            kind=clip.kind,
            seconds=clip.seconds,
            language="en",
            quick=True,
            sha256=hashlib.sha256(clip.path.read_bytes()).hexdigest(),
            phrases=(Phrase(start, end, " ".join(clip.words)),),
        )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def contenders(*names):
    return [CONTENDERS[name] for name in names]


def shown(*tables):
    console = Console(width=200)
    with console.capture() as printed:
        for table in tables:
            console.print(table)
    return printed.get()


@pytest.mark.usefixtures("cache")
def test_everyone_hears_the_same_clips():
    own = list(recordings(3))
    board = compare(
        resolve_model("demo"), {"first": own[:2], "second": own[2:]}, contenders(*EVERYONE)
    )
    assert board.files["second"] == (own[2].path.name,)
    assert {name: score.wrong for name, score in board.scores["first"].items()} == dict.fromkeys(
        EVERYONE, 0
    )
    assert not [one for one in breaches(board) if "cues" not in one.bound]
    timed = [name for name in EVERYONE if board.whole(name).files[0].word_errors]
    assert timed == [name for name in EVERYONE if "timed" in name]


@pytest.mark.usefixtures("cache")
def test_what_the_library_said_is_asked_once_and_ours_each_time():
    own = {"clips": list(recordings(1))}
    model = resolve_model("demo")
    first = compare(model, own, contenders(LIBRARY, PARALLEL))
    second = compare(model, own, contenders(LIBRARY, PARALLEL))
    assert first.cached["clips"] == {LIBRARY: 0, PARALLEL: 0}
    assert second.cached["clips"] == {LIBRARY: 1, PARALLEL: 0}
    assert second.scores["clips"][LIBRARY] == first.scores["clips"][LIBRARY]
    other = compare(replace(model, digest="other"), own, contenders(LIBRARY))
    assert other.cached["clips"] == {LIBRARY: 0}


@pytest.mark.usefixtures("cache")
def test_a_run_that_is_resumed_asks_ours_once():
    own = {"clips": list(recordings(1))}
    resumed = list(map(by_source, contenders(LIBRARY, PARALLEL)))
    first, second = (compare(resolve_model("demo"), own, resumed) for _ in range(2))
    assert second.cached["clips"] == {LIBRARY: 1, PARALLEL: 1}
    assert second.scores == first.scores


def test_what_ours_said_is_no_more_once_its_sources_change(monkeypatch):
    before = by_source(CONTENDERS[PARALLEL])
    monkeypatch.setattr("hack.real.contenders._SOURCES", ("inference/whisperfleet/segmentation",))
    assert by_source(CONTENDERS[PARALLEL]).recipe != before.recipe


def board(library, ours, part="clips"):
    return Board(
        "tiny.en",
        {part: {LIBRARY: Score((library,)), PARALLEL: Score((ours,)), SEQUENTIAL: Score((RIGHT,))}},
        {part: ("a.flac",)},
        {part: 60.0},
    )


@pytest.mark.parametrize(
    ("ours", "bounds"),
    [
        (RIGHT, []),
        (replace(RIGHT, substitutions=1), [0, 1]),
        (replace(RIGHT, deletions=2, lost=("on the",)), [0, 1, 2]),
        (replace(RIGHT, faults=("cue 1 is empty",)), [3]),
        (replace(SILENT, insertions=2), [4]),
        (replace(RIGHT, language_right=False), [5]),
        (replace(RIGHT, cue_errors=(0.0, 0.4)), [6, 6]),
        (replace(RIGHT, word_errors=(0.0, 0.4)), [6, 6]),
    ],
)
def test_a_bound_that_is_not_kept_is_named(ours, bounds):
    library = SILENT if not ours.words else RIGHT
    found = breaches(board(library, ours))
    assert [one.bound for one in found] == [BOUNDS[number].name for number in bounds]
    assert {one.contender for one in found} <= {PARALLEL}


def test_a_bound_has_room_for_as_much_as_it_says():
    thousand = replace(RIGHT, words=1000)
    assert not breaches(board(thousand, replace(thousand, substitutions=1)))
    assert len(breaches(board(thousand, replace(thousand, substitutions=2)))) == 1
    assert len(breaches(board(thousand, replace(thousand, substitutions=6)))) == 2


def test_times_are_right_on_the_whole_too():
    found = breaches(board(RIGHT, replace(RIGHT, cue_errors=(0.0, 0.4)), "readers"))
    assert [(one.bound, one.part) for one in found] == [(BOUNDS[6].name, WHOLE)]


@pytest.mark.parametrize(("part", "bounds"), [(LANGUAGES, [BOUNDS[1].name]), (LOOPS, [])])
def test_other_languages_and_loops_do_not_count_for_the_whole(part, bounds):
    found = breaches(board(RIGHT, replace(RIGHT, substitutions=9), part))
    assert [one.bound for one in found] == bounds


@pytest.mark.parametrize(
    ("ours", "bounds"),
    [
        (replace(RIGHT, deletions=25), []),
        (replace(RIGHT, deletions=26), [7]),
        (replace(RIGHT, insertions=26), [7]),
        (replace(RIGHT, cue_errors=(0.0, 4.0)), [6]),
        (replace(RIGHT, word_errors=(0.0, 4.0)), [6]),
    ],
)
def test_what_the_library_does_not_hear_in_containers_ours_must(ours, bounds):
    deaf = replace(RIGHT, deletions=100, cue_errors=(4.0,))
    found = breaches(board(deaf, ours, CONTAINERS))
    assert [one.bound for one in found] == [BOUNDS[number].name for number in bounds]
    assert {(one.part, one.contender) for one in found} <= {(CONTAINERS, PARALLEL)}


def test_what_the_library_takes_for_silence_ours_must_not():
    deaf = replace(RIGHT, deletions=40)
    (found,) = breaches(board(deaf, deaf, NARROW))
    assert (found.bound, found.contender) == (BOUNDS[7].name, PARALLEL)


def test_who_reads_everything_is_measured_by_the_library_that_does():
    worse = replace(RIGHT, substitutions=5)
    scores = {LIBRARY: RIGHT, LIBRARY_ALL: worse, PARALLEL: RIGHT, PARALLEL_ALL: worse}
    rows = {name: Score((own,)) for name, own in scores.items()}
    found = Board("tiny.en", {"clips": rows}, {"clips": ("a.flac",)}, {"clips": 60.0})
    assert not breaches(found)
    assert "vad: false" in shown(*(table.to_terminal() for table in board_tables(found)))
    rows[PARALLEL_ALL] = Score((replace(RIGHT, substitutions=6),))
    assert [(one.bound, one.contender) for one in breaches(found)] == [
        (bound.name, PARALLEL_ALL) for bound in BOUNDS[:2]
    ]


def test_who_reads_everything_may_hear_words_in_noise():
    rows = {
        LIBRARY: Score((SILENT,)),
        LIBRARY_ALL: Score((SILENT,)),
        PARALLEL_ALL: Score((replace(SILENT, insertions=2),)),
    }
    found = Board("tiny.en", {"no_speech": rows}, {"no_speech": ("a.flac",)}, {"no_speech": 60.0})
    assert not breaches(found)


def test_what_nobody_understands_elsewhere_breaks_no_bound():
    half = replace(RIGHT, substitutions=50)
    assert not breaches(board(half, half))


def test_a_library_that_hears_nothing_in_containers_gives_no_room_elsewhere():
    deaf = board(replace(RIGHT, deletions=100), RIGHT, CONTAINERS)
    clips = board(RIGHT, replace(RIGHT, substitutions=1))
    both = replace(
        deaf,
        scores=deaf.scores | clips.scores,
        files=deaf.files | clips.files,
        audio_seconds=deaf.audio_seconds | clips.audio_seconds,
    )
    assert [one.bound for one in breaches(both)] == [BOUNDS[0].name, BOUNDS[1].name]


def test_the_tables_and_the_picture_show_parts_and_breaches():
    found = board(RIGHT, replace(RIGHT, substitutions=4, lost=("on the",)))
    tables = board_tables(found)
    text = shown(*(table.to_terminal() for table in tables), breach_table(breaches(found)))
    assert "clips" in text
    assert "4.00" in text
    assert "a.flac: on the" in text
    assert any("| clips |" in table.to_markdown() for table in tables)
    drawn = picture([found])
    assert "tiny.en, clips" in drawn
    assert "4.00 %" in drawn


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_not_recognised_is_named(tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"nothing that sounds")
    (broken,) = (replace(one, path=tmp_path / "broken.flac") for one in recordings(1))
    with pytest.raises(GroundError, match=r"broken\.flac was not recognised: .*look for the fault"):
        compare(resolve_model("demo"), {"clips": [broken]}, contenders(PARALLEL))
