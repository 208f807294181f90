"""docs/api-reference.md says what the CRD says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.docs.pages import ROOT
from whisperfleet_operator.resource import reference
from whisperfleet_operator.resource.crd import crd

COMMITTED = (ROOT / "docs" / reference.FILE_NAME).read_text("utf-8")
(VERSION,) = crd()["spec"]["versions"]


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Every field with the section that it belongs to."""
    for name, field in schema.get("properties", {}).items():
        yield path, name
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


def test_the_committed_page_is_in_step():
    assert reference.render(crd()) == COMMITTED, "run `make schema` and commit docs"


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "new" / reference.FILE_NAME
    assert reference.main([str(file.parent)]) == 0
    assert file.read_text("utf-8") == reference.render(crd())
    assert capsys.readouterr().out == f"{file}\n"


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]):
    assert reference.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


def test_every_field_has_a_line_in_the_section_of_its_part():
    schema = VERSION["schema"]["openAPIV3Schema"]["properties"]
    every = [each for part in ("spec", "status") for each in fields(schema[part], part)]
    assert len(every) > 80
    for path, name in every:
        section = COMMITTED.partition(f"\n## {path}\n")[2].partition("\n## ")[0]
        assert f"\n| `{name}`" in section, f"{path}.{name}"


@pytest.mark.parametrize(
    "line",
    [
        "| `max` **required** | integer, 1 to 10000 | The largest number of pods, ",
        "| `image` **required** | string |",
        'Default: `"Parallel"`.',
        "| `requests` | map to number or string |",
        "Absent: \\<namespace>.\\<name>",
        "| Ready | Whether jobs are done, or would be |",
    ],
)
def test_a_line_reads_well(line: str):
    assert line in COMMITTED
