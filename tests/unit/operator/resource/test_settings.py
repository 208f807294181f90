"""The spec has the settings as they are declared."""

from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import Field

from support.operator.samples import full, minimal, read
from whisperfleet.settings import SETTINGS, Setting
from whisperfleet_operator.resource import settings
from whisperfleet_operator.resource.base import Part
from whisperfleet_operator.resource.crd import crd
from whisperfleet_operator.resource.settings import RESERVED_ENV, declared, set_in, text_of

(VERSION,) = crd()["spec"]["versions"]
SPEC = VERSION["schema"]["openAPIV3Schema"]["properties"]["spec"]
IN_SPEC = [each for each in SETTINGS if each.spec is not None]


def field_at(path: str) -> dict[str, Any]:
    part = SPEC
    for step in path.split("."):
        part = part["properties"][step]
    return part


@pytest.mark.parametrize("each", IN_SPEC, ids=[each.name for each in IN_SPEC])
def test_a_field_of_the_crd_is_as_it_is_declared(each: Setting) -> None:
    assert each.spec is not None
    field = field_at(each.spec.path)
    assert field["description"].startswith(" ".join(each.text.split()))
    assert (field.get("minimum"), field.get("maximum")) == (each.spec.least, each.spec.most)
    if each.spec.stored and each.default != ():
        assert written(each, field["default"]) == each.write(each.default)
    else:
        assert "default" not in field
    if get_origin(each.kind) is Literal:
        assert {name.lower() for name in field["enum"]} == set(get_args(each.kind))


def written(each: Setting, default: Any) -> str:
    if isinstance(default, list):
        return ",".join(f"{one['name']}:{one['weight']}" for one in default)
    return default.lower() if isinstance(default, str) else each.write(default)


def test_a_spec_says_its_settings_as_variables_do() -> None:
    texts = {each.name: text_of(each, value) for each, value in set_in(read(full()).spec)}
    assert texts["segmentation"] == "sequential"
    assert texts["priorities"] == "now:9,over-night:1"
    assert texts["allow_http"] == "true"
    assert texts["dead_letter_max_length"] == "50"
    assert texts["max_in_flight"] == "16"


def test_what_is_absent_is_not_said() -> None:
    names = {each.name for each, _ in set_in(read(minimal()).spec)}
    absent = {"engine", "max_in_flight", "device", "tenants"}
    absent |= {"dead_letter_seconds", "dead_letter_max_length"}
    assert names.isdisjoint(absent)
    assert names | absent == {each.name for each in IN_SPEC}


def test_a_name_that_was_reserved_stays_so() -> None:
    released = """
        ALLOWED_HOSTS ALLOWED_NETWORKS ALLOW_HTTP BEAM_SIZE BEAT_SECONDS COMPUTE_TYPE
        DEAD_LETTER_MAX_LENGTH DEAD_LETTER_SECONDS DEVICE DRAIN_SECONDS HTTP_HOST HTTP_PORT
        JOB_TIMEOUT_SECONDS LEASE_SECONDS MAX_AUDIO_SECONDS MAX_BYTES MAX_DELIVERIES MAX_IN_FLIGHT
        MAX_RELEASES MODEL POD_UID PRIORITIES QUEUE REDIS REDIS_CA_FILE REDIS_PASSWORD
        REDIS_USERNAME RESULT_SECONDS SEGMENTATION VAD
    """
    assert {f"WHISPERFLEET_{name}" for name in released.split()} <= set(RESERVED_ENV)
    assert "WHISPERFLEET_LOG_LEVEL" not in RESERVED_ENV


def test_a_part_is_given_what_it_does_not_name() -> None:
    @settings.with_settings("worker")
    class Some(Part):
        """Some of a part."""

        drain_seconds: str = Field(default="mine", description="Mine.")

    assert Some().drain_seconds == "mine"  # type: ignore[call-arg]
    assert Some(max_in_flight=3).max_in_flight == 3  # type: ignore[call-arg, attr-defined]
    assert Some.__doc__ == "Some of a part."
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Some(max_in_flight=0)  # type: ignore[call-arg]


def test_a_list_must_be_named_by_its_part() -> None:
    with pytest.raises(TypeError, match="priorities is no plain value: name its field"):

        @settings.with_settings("queue")
        class Nothing(Part):
            """Names nothing."""


def test_a_default_is_made_into_the_form_of_the_spec() -> None:
    class Upper(StrEnum):
        DEFAULT = "default"

    field = declared("model.computeType", Upper)
    assert field.default is Upper.DEFAULT
