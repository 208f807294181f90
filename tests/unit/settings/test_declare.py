"""What a declaration makes of a setting."""

import math
import re
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

import pytest

from whisperfleet.settings import (
    REQUIRED,
    SETTINGS,
    EngineSettings,
    InputSettings,
    LoadSettings,
    ProcessSettings,
    QueuePolicy,
    QueueSettings,
    RecognitionSettings,
    settings_in,
)
from whisperfleet.settings.declare import Setting, SpecField, check, setting
from whisperfleet.settings.forms import TENANTS

GROUPS = (
    EngineSettings,
    InputSettings,
    LoadSettings,
    ProcessSettings,
    QueuePolicy,
    QueueSettings,
    RecognitionSettings,
)


@dataclass(frozen=True, slots=True)
class Toys:
    TITLE: ClassVar = "Toys"

    size: int = field(
        metadata=setting(
            "How large a toy is.", most=9, zero="as it comes", spec=SpecField("toy.size")
        )
    )
    wait_seconds: float = field(default=1.5, metadata=setting("How long it waits."))
    share: float = field(default=0.5, metadata=setting("How much of it.", least=0.25, most=1))
    loud: bool = field(default=True, metadata=setting("Whether it is heard.", off="--quiet"))
    names: tuple[str, ...] = field(default=("a",), metadata=setting("What it is.", form=TENANTS))
    kind: Literal["bear", "car"] = field(
        default="bear", metadata=setting("Of which kind.", reserved=True)
    )
    inner: int = -1

    def __post_init__(self) -> None:
        check(self)


TOYS = {each.name: each for each in settings_in(Toys)}


def test_fields_without_a_declaration_are_no_settings() -> None:
    assert list(TOYS) == ["size", "wait_seconds", "share", "loud", "names", "kind"]


def test_names_come_from_the_field() -> None:
    wait, loud = TOYS["wait_seconds"], TOYS["loud"]
    assert (wait.option, wait.variable) == ("--wait-seconds", "WHISPERFLEET_WAIT_SECONDS")
    assert (loud.option, loud.variable) == ("--loud/--quiet", "WHISPERFLEET_LOUD")
    assert {each.title for each in TOYS.values()} == {"Toys"}
    assert (TOYS["size"].default, wait.default) == (REQUIRED, 1.5)
    assert TOYS["kind"].kind == Literal["bear", "car"]


def test_a_field_of_the_spec_reserves_the_name() -> None:
    assert [name for name, each in TOYS.items() if each.is_reserved] == ["size", "kind"]


def test_what_zero_means_and_how_a_list_is_written_are_told() -> None:
    assert TOYS["size"].help == "How large a toy is. 0: as it comes."
    assert TOYS["names"].help == "What it is. By commas."
    assert TOYS["loud"].help == "Whether it is heard."


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("size", 7, "7"),
        ("wait_seconds", 1_209_600.0, "1209600"),
        ("wait_seconds", 7.5, "7.5"),
        ("loud", False, "false"),
        ("names", ("a", "b"), "a,b"),
        ("kind", "car", "car"),
    ],
)
def test_a_value_is_written_as_a_variable_has_it(name: str, value: object, text: str) -> None:
    assert TOYS[name].write(value) == text


@pytest.mark.parametrize(
    "values",
    [{"size": 0}, {"size": 9}, {"size": 1, "wait_seconds": 0.001}, {"size": 1, "share": 0.25}],
)
def test_what_is_within_bounds_is_taken(values: dict[str, float]) -> None:
    Toys(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": 10}, "size is 10; it must be a number from 1 to 9, or 0: as it comes"),
        ({"size": -1}, "size is -1; it must be a number from 1 to 9, or 0: as it comes"),
        ({"size": 1, "share": 0.2}, "share is 0.2; it must be a number from 0.25 to 1"),
        ({"size": 1, "share": math.nan}, "share is nan; it must be a number from 0.25 to 1"),
        ({"size": 1, "wait_seconds": 0}, "wait_seconds is 0; it must be a number of seconds"),
        ({"size": 1, "wait_seconds": math.inf}, "wait_seconds is inf; it must be a number of"),
        ({"size": 1, "wait_seconds": math.nan}, "wait_seconds is nan; it must be a number of"),
    ],
)
def test_what_is_out_of_bounds_is_refused(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Toys(**values)  # type: ignore[arg-type]


def test_every_group_is_told_of_and_no_two_settings_share_a_name() -> None:
    declared = [each.name for group in GROUPS for each in settings_in(group)]
    assert sorted(declared) == sorted(each.name for each in SETTINGS)
    assert len(set(declared)) == len(declared)


def test_a_beam_that_the_resource_refuses_is_refused_by_the_worker_too() -> None:
    assert RecognitionSettings(beam_size=16).beam_size == 16
    with pytest.raises(ValueError, match="beam_size is 17; it must be a number from 1 to 16"):
        RecognitionSettings(beam_size=17)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_checks_its_numbers(group: type) -> None:
    required = {each.name: "demo" for each in settings_in(group) if each.default is REQUIRED}
    group(**required)
    numbers = [each.name for each in settings_in(group) if each.kind in {int, float}]
    assert numbers
    for name in numbers:
        with pytest.raises(ValueError, match=f"^{name} is -1"):
            group(**required, **{name: -1})


@pytest.mark.parametrize("each", SETTINGS, ids=[each.name for each in SETTINGS])
def test_a_setting_reads_well_and_its_default_is_within_its_bounds(each: Setting) -> None:
    assert each.text.endswith(".")
    assert not each.zero.endswith(".")
    if each.default is not REQUIRED:
        each.check(each.default)
    if each.form is not None:
        assert each.read(each.write(each.default)) == each.default


def test_groups_are_frozen() -> None:
    for group in GROUPS:
        assert group.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert fields(group)
