"""What the chart renders, value by value; no cluster is asked, but helm is its testbed's."""

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from hack.images.recipes import OPERATOR, ROOT
from hack.manifests import FOLDER, render
from support.chart.helm import CHART, VALUES, Helm, Json, load_all
from support.chart.notes import commands_of, pasted
from support.operator.samples import read
from whisperfleet_operator.resource.crd import FILE_NAME

pytestmark = pytest.mark.cluster

SNAPSHOTS = Path(__file__).parent / "snapshots"
DIGEST = f"sha256:{'0' * 64}"
# Their content is a file of the chart, and tests of their own look at it.
LONG = {"CustomResourceDefinition", "PrometheusRule"}


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_lint_has_nothing_to_say(renderer: Helm, values: Path) -> None:
    said = renderer.run("lint", "--strict", str(CHART), "--values", str(values))
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_it_renders_what_it_did(renderer: Helm, values: Path) -> None:
    objects = renderer.template("--values", str(values), "--namespace", "system")
    written = yaml.safe_dump_all([_shortened(each) for each in objects], width=120)
    file = SNAPSHOTS / f"{values.stem.removesuffix('-values')}.yaml"
    if not file.exists():
        file.write_text(written, encoding="utf-8")
        pytest.fail(f"{file.name} was missing and has been written: look at it and commit it")
    assert written == file.read_text("utf-8"), "look at it; delete the snapshot if it is right"


def test_there_is_no_snapshot_of_nothing() -> None:
    assert {f"{file.stem}-values" for file in SNAPSHOTS.iterdir()} == {file.stem for file in VALUES}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.repositry=x", "at '/image': additional properties 'repositry' not allowed"),
        ("replicas=2", "at '': additional properties 'replicas' not allowed"),
        ("workers=0", "at '/workers': minimum: got 0, want 1"),
        ("crds.install=maybe", "at '/crds/install': got string, want boolean"),
        ("watchNamespaces={Team_A}", "at '/watchNamespaces/0': 'Team_A' does not match pattern"),
        ("image.digest=sha256:12", "at '/image/digest': 'sha256:12' does not match pattern"),
        ("logLevel=loud", "at '/logLevel': value must be one of 'debug', 'info'"),
        (
            "prometheusRule.thresholds.errorPercent=100",
            "at '/prometheusRule/thresholds/errorPercent': maximum: got 100, want 99",
        ),
        (
            "networkPolicy.workerPorts={redis}",
            "at '/networkPolicy/workerPorts/0': got string, want integer",
        ),
        ("redis.image.pullPolicy=Sometimes", "at '/redis/image/pullPolicy': value must be one of"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(renderer: Helm, setting: str, said: str) -> None:
    assert said in renderer.refusal("template", str(CHART), "--set", setting)


def test_without_keda_it_says_what_to_do(renderer: Helm) -> None:
    image = ("--set", "image.repository=example/operator")
    said = renderer.refusal("template", str(CHART), *image)
    assert "the cluster has no KEDA" in said
    assert "install KEDA 2.17 or later" in said
    assert renderer.run("template", str(CHART), *image, "--set", "keda.check=false")


def test_without_an_image_it_says_what_to_do(renderer: Helm) -> None:
    said = renderer.refusal("template", str(CHART), "--set", "keda.check=false")
    assert "image.repository: say where you have pushed the operator's image" in said


@pytest.mark.parametrize(
    ("settings", "image"),
    [
        ("", f"example/operator:{OPERATOR.reference.rpartition(':')[2]}"),
        ("image.tag=1.2", "example/operator:1.2"),
        (f"image.tag=1.2,image.digest={DIGEST}", f"example/operator@{DIGEST}"),
    ],
)
def test_the_image_is_named_by_tag_or_digest(renderer: Helm, settings: str, image: str) -> None:
    options = ("--set", settings) if settings else ()
    deployment = _one(renderer.template(*options), "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(
    ("settings", "option", "host"),
    [
        ("", "", "REDIS"),
        ("redis.enabled=true", "", "mine-whisperfleet-redis.system.svc"),
        ("watchNamespaces={team-a,team-b}", "-n team-a ", "REDIS"),
    ],
)
def test_the_notes_can_be_pasted(
    renderer: Helm, tmp_path: Path, settings: str, option: str, host: str
) -> None:
    said = renderer.run(
        *("install", "mine", str(CHART), "--namespace", "system", "--dry-run=client"),
        *("--set", f"image.repository=example/operator,keda.check=false,{settings}"),
    )
    calls, given = pasted(commands_of(said.partition("NOTES:\n")[2]), tmp_path)
    assert calls == [
        "kubectl -n system rollout status deployment/mine-whisperfleet-operator",
        f"kubectl {option}apply -f -",
        f"kubectl {option}get tsvc",
    ]
    (fleet,) = load_all(given)
    assert read(fleet).name == "calls"
    assert fleet["spec"]["queue"]["redis"]["url"] == f"redis://{host}:6379/0"


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ("", False),
        ("redis.enabled=true", True),
        ("redis.enabled=true,redis.persistence.enabled=true", False),
    ],
)
def test_the_notes_warn_of_a_redis_that_forgets(
    renderer: Helm, settings: str, *, warned: bool
) -> None:
    said = renderer.run(
        *("install", "mine", str(CHART), "--namespace", "system", "--dry-run=client"),
        *("--set", f"image.repository=example/operator,keda.check=false,{settings}"),
    )
    notes = said.partition("NOTES:\n")[2]
    assert ("loses every job and result in it" in notes) is warned


def test_ports_of_pods_go_into_every_policy(renderer: Helm) -> None:
    usual = renderer.template(name="mine")
    assert _arguments(usual) >= {"--dns-ports=53,5353"}
    assert not [each for each in _arguments(usual) if each.startswith("--worker-ports")]
    settings = "networkPolicy.dnsPorts={1053},networkPolicy.workerPorts={16379,16380}"
    objects = renderer.template(
        *("--set", settings), *("--set-json", 'networkPolicy.egress=[{"ports": [{"port": 443}]}]')
    )
    assert _arguments(objects) >= {"--dns-ports=1053", "--worker-ports=16379,16380"}
    names, others = _one(objects, "NetworkPolicy")["spec"]["egress"]
    assert names["ports"] == [
        {"port": 1053, "protocol": "UDP"},
        {"port": 1053, "protocol": "TCP"},
    ]
    assert others == {"ports": [{"port": 443}]}


def test_a_release_has_a_name_of_its_own(renderer: Helm) -> None:
    one = _arguments(renderer.template("--namespace", "system", name="mine"))
    other = _arguments(renderer.template("--namespace", "elsewhere", name="mine"))
    assert one >= {"--release=system/mine-whisperfleet-operator"}
    assert other >= {"--release=elsewhere/mine-whisperfleet-operator"}


def test_the_definition_is_that_of_the_tree(renderer: Helm) -> None:
    """Through Helm's reader and writer, in which large numbers have been known to suffer."""
    rendered = _one(renderer.template(), "CustomResourceDefinition")
    metadata = rendered["metadata"]
    assert metadata.pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert metadata.pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert rendered == yaml.safe_load((ROOT / "crds" / FILE_NAME).read_text("utf-8"))


def test_the_definition_is_kept_or_left_out_on_request(renderer: Helm) -> None:
    goes = _one(renderer.template("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "annotations" not in goes["metadata"]
    without = renderer.template("--set", "crds.install=false")
    assert not _of(without, "CustomResourceDefinition")


def test_an_operator_for_namespaces_has_no_right_elsewhere(renderer: Helm) -> None:
    objects = renderer.template(
        *("--set", "watchNamespaces={team-a,team-b}"), *("--namespace", "system")
    )
    assert not [each for each in objects if each["kind"].startswith("ClusterRole")]
    rights = _of(objects, "Role")
    assert {each["metadata"]["namespace"] for each in rights} == {"team-a", "team-b", "kube-system"}
    assert _arguments(objects) >= {"--namespaces=team-a,team-b"}
    alone = renderer.template("--set", "watchNamespaces={team-a},clusterId=mine")
    assert {each["metadata"]["namespace"] for each in _of(alone, "Role")} == {"team-a"}
    assert _arguments(alone) >= {"--namespaces=team-a", "--cluster-id=mine"}


def test_the_rights_are_the_same_over_a_namespace_and_over_all(renderer: Helm) -> None:
    (over_one, *_) = _of(renderer.template("--set", "watchNamespaces={team-a}"), "Role")
    over_all = _one(renderer.template(), "ClusterRole")
    assert over_one["rules"] == over_all["rules"]


def test_every_object_says_whose_it_is(renderer: Helm) -> None:
    everything = CHART / "ci/everything-values.yaml"
    for each in renderer.template("--values", str(everything), name="mine"):
        if not each["metadata"]["name"].endswith("-extra"):
            assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "mine"
        assert "Namespace" not in each["kind"]


def test_the_dashboard_is_that_of_the_file(renderer: Helm) -> None:
    board = _one(renderer.template("--set", "dashboard.enabled=true"), "ConfigMap")
    (text,) = board["data"].values()
    assert json.loads(text) == json.loads((CHART / "files/dashboard.json").read_text("utf-8"))


def test_the_redis_for_trying_out_keeps_what_it_acknowledged(renderer: Helm) -> None:
    stateful = _one(renderer.template("--set", "redis.enabled=true"), "StatefulSet")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    arguments = " ".join(container["args"])
    assert "--appendonly yes --appendfsync always" in arguments
    assert "--maxmemory-policy noeviction" in arguments


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_every_pod_keeps_to_the_restricted_standard(renderer: Helm, values: Path) -> None:
    pods = [
        each["spec"]["template"]["spec"]
        for each in renderer.template("--values", str(values))
        if each["kind"] in {"Deployment", "StatefulSet"}
    ]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_package_is_what_the_templates_read(renderer: Helm, tmp_path: Path) -> None:
    renderer.run("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("whisperfleet-*.tgz")
    with tarfile.open(package) as archive:
        names = {name.removeprefix("whisperfleet/") for name in archive.getnames()}
    assert {name for name in names if name.startswith(("ci/", "files/"))} == {
        "files/alerts.yaml",
        "files/dashboard.json",
        f"files/{FILE_NAME}",
    }


def test_what_is_applied_by_hand_is_what_the_chart_says(renderer: Helm) -> None:
    written = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}
    assert written == render(renderer.command), "run `make manifests`"


def _shortened(obj: Json) -> Json:
    if obj["kind"] in LONG:
        return {name: part for name, part in obj.items() if name != "spec"}
    if obj["metadata"]["name"].endswith("-dashboard"):
        return {**obj, "data": sorted(obj["data"])}
    return obj


def _of(objects: Iterable[Json], kind: str) -> list[Json]:
    return [each for each in objects if each["kind"] == kind]


def _one(objects: Iterable[Json], kind: str) -> Json:
    (found,) = _of(objects, kind)
    return found


def _arguments(objects: Iterable[Json]) -> set[str]:
    pod = _one(objects, "Deployment")["spec"]["template"]["spec"]
    return set(pod["containers"][0]["args"])
