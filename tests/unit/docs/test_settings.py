"""docs/settings.md says what is declared."""

from pathlib import Path

import pytest

from support.docs.pages import ROOT
from whisperfleet.settings import SETTINGS, reference

COMMITTED = (ROOT / "docs" / reference.FILE_NAME).read_text("utf-8")


def test_the_committed_page_is_in_step():
    assert reference.render(SETTINGS) == COMMITTED, "run `make schema` and commit docs"


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "new" / reference.FILE_NAME
    assert reference.main([str(file.parent)]) == 0
    assert file.read_text("utf-8") == COMMITTED
    assert capsys.readouterr().out == f"{file}\n"


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]):
    assert reference.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "| `--model` | `WHISPERFLEET_MODEL` | the operator's | **required** |",
        "| `--vad`, `--no-vad` | `WHISPERFLEET_VAD` | `decoding.vad` | `true` |",
        "| `WHISPERFLEET_DEAD_LETTER_SECONDS` | `queue.deadLetters.retentionSeconds` | `1209600` |",
        "| `WHISPERFLEET_SCRATCH` |  |  |",
        "wf:{queue}:in:\\<priority>:\\<tenant>",
    ],
)
def test_a_line_reads_well(line: str):
    assert line in COMMITTED
