"""Where the time of a job goes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hack.bench.contenders import Run
from hack.bench.fleet import running_fleet
from hack.bench.manners import measure_overhead
from whisperfleet.demo.server import EmbeddedServer

MODEL = Path(__file__).parents[4] / "inference" / "whisperfleet" / "demo" / "data" / "model"


class TenMinutes:
    """A library that takes long over each file."""

    name = "slow"

    def run(self, files: Sequence[Path]) -> Run:
        return Run(600.0 * len(files), (1,) * len(files))


def test_the_parts_of_a_job_add_up(tmp_path: Path):
    with (
        EmbeddedServer() as server,
        running_fleet(server, "bench.test", MODEL, 20, "--file-roots", str(tmp_path)) as fleet,
    ):
        found = measure_overhead(fleet, TenMinutes(), 1, tmp_path)
    assert min(found.engine_ms, found.prep_ms, found.rival_prep_ms) > 0
    assert found.outside_ms == pytest.approx(found.job_ms - found.engine_ms)
    assert found.queue_ms == pytest.approx(found.outside_ms - found.prep_ms)
    assert found.rival_ms == 600_000
    assert found.over_rival_ms == pytest.approx(found.job_ms - 600_000)
