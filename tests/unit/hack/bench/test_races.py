"""Turns, and that all contenders did the same work."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hack.bench.contenders import Run, WorkError
from hack.bench.figures import BATCHED, FLEET, LOOPS, ONE_BY_ONE
from hack.bench.races import Clip, race, race_counts

CLIPS = [Clip(Path("a.ogg"), 30.0), Clip(Path("b.ogg"), 30.0)]
NAMES = (ONE_BY_ONE, BATCHED, LOOPS, FLEET)


class Fake:
    """Takes a second a file, makes so many windows of each, and says its name or another word."""

    def __init__(self, name: str, windows: int = 1, word: str | None = None) -> None:
        self.name = name
        self.windows = windows
        self.word = word
        self.runs: list[list[str]] = []

    def run(self, files: Sequence[Path]) -> Run:
        self.runs.append([file.name for file in files])
        return Run(
            float(len(files)),
            (self.windows,) * len(files),
            tuple(self.word or file.name for file in files),
        )


def test_few_and_many_jobs_take_turns_with_the_rivals_on_the_same_clips():
    contenders = [Fake(name) for name in NAMES]
    said: list[str] = []
    one, many = race_counts((1, 5), CLIPS, contenders, 3, said.append)
    assert contenders[0].runs == [["a.ogg", "b.ogg"]] * 3, "a rival has the clips once a round"
    assert contenders[-1].runs == [["a.ogg"], ["a.ogg", "b.ogg", "a.ogg", "b.ogg", "a.ogg"]] * 3
    assert (one.contenders[FLEET].files, many.contenders[FLEET].files) == (1, 5)
    assert many.contenders[ONE_BY_ONE].seconds == (2.0, 2.0, 2.0)
    assert one.ratio(ONE_BY_ONE) == many.ratio(ONE_BY_ONE) == pytest.approx(1.0)
    assert (many.alike, many.compared) == (15, 15)
    assert len(said) == 3


def test_texts_that_differ_are_counted():
    contenders = [*(Fake(name) for name in NAMES[:3]), Fake(FLEET, word="a.ogg")]
    found = race("two", CLIPS, contenders, 2, lambda _: None)
    assert (found.alike, found.compared) == (2, 4)


def test_files_of_many_windows_are_not_compared():
    contenders = [Fake(name, windows=3, word="x") for name in NAMES]
    assert race("long", CLIPS, contenders, 1, lambda _: None).compared == 0


def test_a_fleet_that_recognises_less_is_an_error():
    contenders = [*(Fake(name, windows=4) for name in NAMES[:3]), Fake(FLEET, windows=3)]
    with pytest.raises(WorkError, match="the fleet made 6 windows of what is 8"):
        race("long", CLIPS, contenders, 1, lambda _: None)
