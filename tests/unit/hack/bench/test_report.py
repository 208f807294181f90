"""What the figures of a benchmark are made into."""

from dataclasses import replace
from io import StringIO
from xml.etree import ElementTree as ET

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from hack.bench.figures import (
    BATCHED,
    FLEET,
    LOOPS,
    ONE_BY_ONE,
    Fairness,
    GpuReport,
    Memory,
    Overhead,
    Race,
    Report,
    Rounds,
)
from hack.bench.page import BEGIN, END, filled
from hack.bench.picture import picture
from hack.bench.report import tables

NO_GPU = "not run: this machine has no NVIDIA GPU"
RACE = Race(
    "32 clips of 30 s & more",
    {
        ONE_BY_ONE: Rounds(2, 60.0, 2, (10.0, 30.0, 12.0)),
        BATCHED: Rounds(2, 60.0, 2, (9.0, 9.0, 9.0)),
        LOOPS: Rounds(2, 60.0, 2, (8.0, 8.0, 8.0)),
        FLEET: Rounds(2, 60.0, 2, (5.0, 10.0, 6.0)),
    },
    compared=6,
    alike=5,
)
REPORT = Report(
    facts={
        "at": "2026-11-25T12:00:00+00:00",
        "commit": "abc1234",
        "cpu": "A Processor",
        "cores": 2,
        "python": "3.11.7",
        "packages": {"ctranslate2": "4.8.5"},
        "load_before": 0.1,
        "load_after": 1.9,
        "minutes": 25.0,
        "shape": "tiny",
        "rounds": 3,
        "threads": {ONE_BY_ONE: 1, BATCHED: 2},
    },
    gpu=NO_GPU,
    races=(RACE,),
    overhead=Overhead(660.0, 646.5, 13.5, 10.7, 2.8, 690.0, 39.0, -30.0),
    fairness=Fairness((0.5, 0.7), (2.0, 4.0), batch_seconds=3.0),
    memory=Memory({1: 100_000_000, 8: 380_000_000}),
    startup_seconds=(1.5, 2.5, 1.6),
)
GPU = GpuReport(
    name="NVIDIA H200",
    batch_size=32,
    races=(RACE,),
    memory=Memory({1: 2_000_000_000, 32: 8_200_000_000}),
    data_sheet_seconds=0.6,
    attainable_seconds=2.1,
)


def test_a_ratio_is_the_median_of_rounds_and_not_of_sums():
    assert RACE.ratio(ONE_BY_ONE) == pytest.approx(2.0)
    assert RACE.ratio(BATCHED) == pytest.approx(1.5)


def test_a_ratio_is_by_audio_where_the_fleet_had_more_of_it():
    four = replace(RACE.contenders[FLEET], files=8, audio_seconds=240.0)
    race = replace(RACE, contenders={**RACE.contenders, FLEET: four})
    assert race.ratio(ONE_BY_ONE) == pytest.approx(4 * RACE.ratio(ONE_BY_ONE))


def test_the_tables_say_what_was_measured_wanted_and_met():
    drawn = terminal(REPORT)
    for cells in (
        ("32 clips of 30 s & more", "10", "2.00 (2.00 to 3.00)", "2, 2", "5 of 6"),
        ("32 clips of 30 s & more, end to end, to library", "2.00", "1.4 or more", "yes"),
        ("all beside the engine's part", "13.5 ms", "under 10 ms", "no"),
        ("what remains: queue, threads, result", "2.8 ms"),
        ("a job longer than the library's call by", "-30.0 ms"),
        ("beside a file of two hours, the longest of 2", "4.00 s", "3.70 s", "no"),
        ("Memory for each window of a batch", "40 MB"),
        ("Start of the worker to ready, median of 3", "1.60 s"),
        ("large-v3-turbo's shape on a GPU", NO_GPU),
    ):
        assert any(all(cell in line for cell in cells) for line in drawn), cells


def test_the_table_of_a_gpu_has_both_limits_and_its_memory():
    drawn = terminal(replace(REPORT, gpu=GPU))
    for cells in (
        ("NVIDIA H200: 32 clips", "2.00", "8 or more on an H200", "no"),
        ("share of what can be reached, 2100.00 ms a window", "70%", "60% or more", "yes"),
        ("share of the data sheet, 600.00 ms a window", "20%"),
        ("its memory for each window of a batch", "200 MB"),
    ):
        assert any(all(cell in line for cell in cells) for line in drawn), cells


def test_a_gpu_without_a_data_sheet_is_measured_all_the_same():
    unknown = replace(GPU, data_sheet_seconds=None, attainable_seconds=None)
    drawn = "\n".join(terminal(replace(REPORT, gpu=unknown)))
    assert "its data sheet is not in hack/bench/gpu.py" in drawn


def test_a_stage_that_failed_is_a_row():
    report = Report(
        REPORT.facts, gpu="failed: no cuBLAS", failed={"gpu": "no cuBLAS", "long": "no room\n{log}"}
    )
    drawn = "\n".join(terminal(report))
    assert "failed: no cuBLAS" in drawn
    assert "failed: no room" in drawn
    assert "{log}" not in drawn


def test_the_picture_is_svg_with_a_bar_each():
    two = {name: RACE.contenders[name] for name in (ONE_BY_ONE, FLEET)}
    drawn = ET.fromstring(picture([RACE, replace(RACE, name="again", contenders=two)]))
    boxes = [one for one in drawn.iter() if one.tag.endswith("rect")]
    bars = [box for box in boxes if box.get("fill") != "white"]
    assert len(bars) == 6
    widths = [int(bar.get("width")) for bar in bars[:4]]
    assert max(widths) == widths[0], "the fastest has the longest bar"


@pytest.mark.parametrize("gpu", [NO_GPU, GPU])
def test_a_page_is_filled_from_the_json_again_and_again(gpu: GpuReport | str):
    kinds = TypeAdapter(Report)
    report = kinds.validate_json(kinds.dump_json(replace(REPORT, gpu=gpu)))
    assert report == replace(REPORT, gpu=gpu)
    page = filled(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", [report])
    assert page.startswith(f"# Before\n\n{BEGIN}\n")
    assert page.endswith(f"\n{END}\n\nAfter.\n")
    assert "old" not in page
    assert "2 cores of A Processor" in page
    assert "| 2.00 (2.00 to 3.00) |" in page
    assert filled(page, [report]) == page


def test_a_page_without_the_markers_is_left_alone():
    with pytest.raises(ValueError, match="the page has no lines"):
        filled("# Page\n", [REPORT])


def terminal(report: Report) -> list[str]:
    console = Console(file=StringIO(), width=200)
    for table in tables(report):
        console.print(table.to_terminal())
    return console.file.getvalue().splitlines()
