"""The CRD says what the models say, in the form that Kubernetes asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from support.operator import samples
from support.operator.refusals import refusals
from whisperfleet_operator.resource import crd
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec
from whisperfleet_operator.resource.structural import structural_schema

COMMITTED = Path(__file__).parents[4] / "crds" / crd.FILE_NAME
DEFINITION = crd.crd()
(VERSION,) = DEFINITION["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]

Json = dict[str, Any]


def parts(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema in a schema, with where it stands."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from parts(field, f"{path}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from parts(schema["additionalProperties"], f"{path}{{}}")


OUR_PARTS = [(path, part) for path, part in parts(SCHEMA) if path.startswith((".spec", ".status"))]


# Lists whose items have no name, as in Kubernetes' own types.
UNORDERED = (".tolerations", ".policies")


def test_the_committed_file_is_in_step() -> None:
    assert COMMITTED.read_text("utf-8") == crd.render(DEFINITION), "run `make schema`, commit crds"


def test_the_command_writes_the_same_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / crd.FILE_NAME
    assert crd.main([str(file.parent)]) == 0
    first = file.read_bytes()
    assert crd.main([str(file.parent)]) == 0
    assert file.read_bytes() == first
    assert capsys.readouterr().out == f"{file}\n" * 2


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


def test_there_is_a_status_subresource_and_none_for_scale() -> None:
    assert VERSION["subresources"] == {"status": {}}


def test_the_columns_are_those_that_people_ask_for() -> None:
    columns = VERSION["additionalPrinterColumns"]
    assert [column["name"].upper() for column in columns] == (
        "READY REASON MODEL REPLICAS QUEUED DLQ OLDEST AGE IMAGE".split()
    )
    assert [column["name"] for column in columns if column["priority"]] == ["Image"]


def test_every_column_shows_a_field_of_the_schema() -> None:
    known = {path for path, _ in parts(SCHEMA)} | {".metadata.creationTimestamp"}
    for column in VERSION["additionalPrinterColumns"]:
        path = column["jsonPath"].replace('[?(@.type=="Ready")]', "[]")
        assert path in known


@pytest.mark.parametrize(("path", "part"), OUR_PARTS, ids=[path for path, _ in OUR_PARTS])
def test_every_part_is_structural_bounded_and_described(path: str, part: Json) -> None:
    assert not part.keys() & {"$ref", "oneOf", "allOf", "title", "nullable", "exclusiveMinimum"}
    if part.get("x-kubernetes-int-or-string"):
        assert "maxLength" in part
        return
    assert "anyOf" not in part
    assert not {"properties", "additionalProperties"} <= part.keys()
    if not path.endswith(("[]", "{}")):
        assert part["description"]
    match part["type"]:
        case "string":
            assert part.keys() & {"enum", "maxLength", "format"}
        case "array":
            assert "maxItems" in part
            if part["items"]["type"] == "object" and not path.endswith(UNORDERED):
                # Several managers may each have their items in the list.
                assert part["x-kubernetes-list-type"] == "map"
        case "object":
            assert part.keys() & {"properties", "maxProperties"}
        case "integer":
            assert "minimum" in part


def test_every_rule_says_what_to_do() -> None:
    messages = [
        rule["message"]
        for _, part in parts(SCHEMA)
        for rule in part.get("x-kubernetes-validations", ())
    ]
    assert len(messages) > 15
    for message in messages:
        assert ": " in message, "a message is what is wrong, a colon, and what to do"
        assert len(message) < 200


def test_every_rule_is_broken_by_a_test() -> None:
    said = [refusal.sentence for refusal in refusals()]
    messages = {
        rule["message"]
        for _, part in parts(SCHEMA)
        for rule in part.get("x-kubernetes-validations", ())
    }
    assert {each for each in messages if not any(each.startswith(one) for one in said)} == set()


def with_defaults(value: Any, schema: Json) -> Any:
    """Fill in the schema's defaults as the API server does."""
    if isinstance(value, list):
        return [with_defaults(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, field in schema.get("properties", {}).items():
        if name not in filled and "default" in field:
            filled[name] = field["default"]
        if name in filled:
            filled[name] = with_defaults(filled[name], field)
    return filled


@pytest.mark.parametrize("resource", [samples.minimal(), samples.full()], ids=["minimal", "full"])
def test_the_schema_and_the_models_have_the_same_defaults(resource: Json) -> None:
    bare = resource["spec"]
    defaulted = with_defaults(bare, SCHEMA["properties"]["spec"])
    assert TranscriptionServiceSpec.model_validate(
        defaulted
    ) == TranscriptionServiceSpec.model_validate(bare)


def test_the_minimal_sample_is_ten_lines() -> None:
    assert len((samples.SAMPLES / "minimal.yaml").read_text("utf-8").splitlines()) == 10


def test_the_full_service_says_everything_that_can_be_said() -> None:
    said = set()

    def walk(value: Any, path: str) -> None:
        said.add(path)
        if isinstance(value, dict):
            for name, field in value.items():
                walk(field, f"{path}.{name}")
        if isinstance(value, list):
            for item in value:
                walk(item, f"{path}[]")

    walk(samples.full()["spec"], ".spec")
    sayable = {path for path, _ in parts(SCHEMA) if path.startswith(".spec") and "{}" not in path}
    # A service has one source for its model, and says nothing of the other two.
    other_sources = {".spec.model.source.baked", ".spec.model.source.hub"}
    refused = {".spec.pools[].template.volumes[].hostPath"}
    # There is one engine, and saying so would change what the pods of 0.1.0 have.
    only_choice = {".spec.model.engine"}
    assert sayable - said == other_sources | refused | only_choice


def test_a_union_has_no_structural_schema() -> None:
    class Either(BaseModel):
        value: int | list[int] = Field(description="One or many.")

    with pytest.raises(TypeError, match="no unions"):
        structural_schema(Either)
