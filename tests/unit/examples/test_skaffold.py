"""skaffold.yaml names only what there is."""

import re
from typing import Any

import pytest
import yaml

from support.examples.files import EXAMPLES, service

ROOT = EXAMPLES.parent
OPERATOR, FLEET = yaml.safe_load_all((ROOT / "skaffold.yaml").read_text("utf-8"))
PROFILES = FLEET["profiles"]

Json = dict[str, Any]


def configs() -> list[Json]:
    """Both configurations, and the second as each of its profiles changes it."""
    return [OPERATOR, FLEET, *(FLEET | profile for profile in PROFILES)]


def artifacts() -> list[Json]:
    return [each for config in configs() for each in config["build"]["artifacts"]]


def test_there_are_the_three_profiles():
    assert [profile["name"] for profile in PROFILES] == ["dev", "cpu", "gpu"]
    assert FLEET["requires"] == [{"configs": [OPERATOR["metadata"]["name"]]}]


def test_the_images_are_built_from_dockerfiles_that_take_their_arguments():
    assert {each["image"] for each in artifacts()} == {
        "whisperfleet-operator",
        "whisperfleet-worker",
    }
    for artifact in artifacts():
        dockerfile = (ROOT / artifact["docker"]["dockerfile"]).read_text("utf-8")
        known = re.findall(r"(?m)^ARG (\w+)", dockerfile)
        assert artifact["docker"].get("buildArgs", {}).keys() <= set(known)


def test_the_chart_knows_every_value_that_is_set():
    (release,) = OPERATOR["deploy"]["helm"]["releases"]
    chart = ROOT / release["chartPath"]
    assert (chart / "Chart.yaml").is_file()
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    for path in [*release["setValues"], *release["setValueTemplates"]]:
        found = values
        for name in path.split("."):
            found = found[name]
    templates = " ".join(release["setValueTemplates"].values())
    named = set(re.findall(r"\.IMAGE_(?:REPO|TAG)_(\w+)", templates))
    assert named == {each["image"].replace("-", "_") for each in OPERATOR["build"]["artifacts"]}


@pytest.mark.parametrize("config", configs()[1:], ids=["none", "dev", "cpu", "gpu"])
def test_the_fleet_runs_the_image_that_is_built(config: Json):
    (selected,) = config["resourceSelector"]["allow"]
    assert selected == {
        "groupKind": "TranscriptionService.whisperfleet.io",
        "image": [".*"],
    }
    (path,) = config["manifests"]["rawYaml"]
    fleet = service(ROOT / path)
    assert fleet.spec.model.image in {each["image"] for each in config["build"]["artifacts"]}
    (release,) = OPERATOR["deploy"]["helm"]["releases"]
    assert fleet.redis.host_port == f"{release['name']}-redis.{release['namespace']}:6379"
