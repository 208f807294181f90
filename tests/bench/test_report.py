"""What the figures of a benchmark are made into."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from hack.bench.contenders import BareLoops, EndToEnd, OneByOne, Pipeline
from hack.bench.report import picture
from hack.bench.scenarios import Fairness, Race

RACE = Race(
    "30 s clips & more",
    files=2,
    audio_seconds=60.0,
    seconds={
        OneByOne.name: [10.0, 30.0, 12.0],
        Pipeline.name: [9.0, 9.0, 9.0],
        BareLoops.name: [8.0, 8.0, 8.0],
        EndToEnd.name: [5.0, 10.0, 6.0],
    },
)


def test_a_ratio_is_the_median_of_rounds_and_not_of_sums():
    assert RACE.ratio(OneByOne.name) == pytest.approx(2.0)
    assert RACE.ratio(Pipeline.name) == pytest.approx(1.5)


def test_the_picture_is_svg_with_a_bar_each():
    drawn = ET.fromstring(picture([RACE, replace(RACE, name="again")]))
    boxes = [one for one in drawn.iter() if one.tag.endswith("rect")]
    bars = [box for box in boxes if box.get("fill") != "white"]
    assert len(bars) == 8
    widths = [int(bar.get("width")) for bar in bars[:4]]
    assert max(widths) == widths[0], "the fastest has the longest bar"


def test_a_clip_may_take_its_own_time_and_one_batch():
    assert Fairness([0.5, 0.7], [2.0], batch_seconds=3.0).allowed_seconds == pytest.approx(3.7)
