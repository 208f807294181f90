"""What differs is applied, what others added is not, and nothing is applied twice."""

import copy
from typing import Any

import pytest

from support.operator.world import service
from whisperfleet_operator.drift import APPLIED_ANNOTATION, differs, stamped
from whisperfleet_operator.plan import Observed, make_plan

WANTED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"a": "b"}},
    "spec": {
        "strategy": {"type": "RollingUpdate"},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "worker",
                        "image": "example/one:1",
                        "args": ["worker"],
                        "env": [{"name": "A", "value": "1"}, {"name": "EMPTY"}],
                        "ports": [{"name": "http", "containerPort": 80}],
                        "resources": {"limits": {"memory": "1024Mi", "cpu": "0.5"}},
                    }
                ],
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "volumes": [
                    {"name": "v", "emptyDir": {"sizeLimit": "1024Mi", "medium": ""}},
                    {"name": "w", "persistentVolumeClaim": {"claimName": "c", "readOnly": False}},
                ],
                "nodeSelector": {},
            }
        },
    },
}


@pytest.fixture
def live() -> dict[str, Any]:
    """What an API server makes of `WANTED`: stamped, with defaults and canonical quantities."""
    made = copy.deepcopy(stamped(WANTED))
    made["metadata"] |= {"uid": "u", "resourceVersion": "5"}
    made["spec"] |= {"replicas": 3, "revisionHistoryLimit": 10}
    pod = made["spec"]["template"]["spec"]
    del pod["nodeSelector"]
    pod["restartPolicy"] = "Always"
    empty, claim = pod["volumes"]
    empty["emptyDir"] = {"sizeLimit": "1Gi"}
    del claim["persistentVolumeClaim"]["readOnly"]
    worker = pod["containers"][0]
    worker |= {"imagePullPolicy": "IfNotPresent"}
    worker["resources"]["limits"] = {"cpu": "500m", "memory": "1Gi"}
    worker["ports"][0]["protocol"] = "TCP"
    return made


def worker(live: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = live["spec"]["template"]["spec"]["containers"][0]
    return container


def volume(live: dict[str, Any], index: int) -> dict[str, Any]:
    found: dict[str, Any] = live["spec"]["template"]["spec"]["volumes"][index]
    return found


def test_what_was_applied_does_not_differ(live):
    assert not differs(live, stamped(WANTED))


def test_what_others_add_does_not_differ(live):
    live["metadata"]["labels"]["theirs"] = "1"
    live["metadata"]["annotations"]["theirs"] = "1"
    worker(live)["env"].insert(0, {"name": "THEIRS", "value": "1"})
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar"})
    assert not differs(live, stamped(WANTED))


@pytest.mark.parametrize(
    "edit",
    [
        lambda live: worker(live).update(image="example/two:1"),
        lambda live: worker(live).update(args=["worker", "--debug"]),
        lambda live: worker(live).update(args=[]),
        lambda live: worker(live)["env"].pop(0),
        lambda live: worker(live)["env"][0].update(value="2"),
        lambda live: worker(live)["resources"]["limits"].update(memory="2Gi"),
        lambda live: worker(live)["resources"].pop("limits"),
        lambda live: worker(live)["ports"].clear(),
        lambda live: live["spec"]["template"]["spec"]["containers"].clear(),
        lambda live: live["spec"]["template"]["spec"]["tolerations"].append({"key": "x"}),
        lambda live: live["spec"]["template"]["spec"].pop("tolerations"),
        lambda live: volume(live, 0)["emptyDir"].update(sizeLimit="2Gi"),
        lambda live: volume(live, 0)["emptyDir"].update(medium="Memory"),
        lambda live: volume(live, 1)["persistentVolumeClaim"].update(readOnly=True),
        lambda live: live["metadata"]["labels"].update(a="c"),
        lambda live: live["metadata"]["annotations"].pop(APPLIED_ANNOTATION),
        lambda live: live["spec"].update(strategy={"type": "Recreate"}),
    ],
)
def test_an_edit_of_what_is_ours_differs(live, edit):
    edit(live)
    assert differs(live, stamped(WANTED))


def test_what_is_no_amount_differs(live):
    wanted = copy.deepcopy(WANTED)
    wanted["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "a lot"
    assert differs(live, stamped(wanted))


def test_a_field_that_is_wanted_no_more_differs(live):
    less = copy.deepcopy(WANTED)
    del less["spec"]["template"]["spec"]["containers"][0]["args"]
    assert differs(live, stamped(less))


def test_a_manifest_itself_is_not_changed_by_its_stamp():
    before = copy.deepcopy(WANTED)
    assert stamped(WANTED)["metadata"]["annotations"].keys() == {APPLIED_ANNOTATION}
    assert before == WANTED


def test_the_stamp_is_no_part_of_a_pod():
    plan = make_plan(service(), Observed())
    (deployment,) = (each for each in plan.apply if each["kind"] == "Deployment")
    assert stamped(deployment)["spec"] == deployment["spec"]
