"""A real API server takes every object that the chart can render."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from support.chart.helm import CHART, VALUES, Helm, Json
from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

MONITORING = "monitoring.coreos.com"
MONITORING_KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def monitoring(kube: Kube) -> Iterator[None]:
    """The kinds of the Prometheus operator, whatever is in them, where the cluster lacks them."""
    missing = [
        definition
        for definition in map(_definition, MONITORING_KINDS)
        if not kube.exists("CustomResourceDefinition", definition["metadata"]["name"])
    ]
    for definition in missing:
        kube.create(definition)
    for definition in missing:
        name = definition["metadata"]["name"]
        kube.run("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    yield
    for definition in missing:
        kube.delete("CustomResourceDefinition", definition["metadata"]["name"])


@pytest.fixture(params=VALUES, ids=lambda file: file.stem)
def values(request: pytest.FixtureRequest, kube: Kube) -> Iterator[Path]:
    """A file of values, and the namespaces that it names."""
    file: Path = request.param
    with ExitStack() as left:
        for name in yaml.safe_load(file.read_text("utf-8")).get("watchNamespaces", ()):
            if not kube.exists("Namespace", name):
                left.enter_context(own_namespace(kube, name))
        yield file


@pytest.mark.usefixtures("monitoring")
def test_every_file_of_values_is_let_in(
    helm: Helm, kube: Kube, namespace: str, values: Path
) -> None:
    # Of its own name: a test may have applied objects of the usual one by hand.
    arguments = (namespace, str(CHART), "--namespace", namespace, "--values", str(values))
    # Helm does not take over a definition that is not its release's.
    helm.run("install", *arguments, "--dry-run=server", "--take-ownership")
    said = _applied(kube, helm.run("template", *arguments, "--set", "keda.check=false"))
    rendered = helm.template("--values", str(values))
    assert said.count("(server dry run)") == len(rendered)


def _applied(kube: Kube, text: str) -> str:
    """Return what kubectl says of objects that the API server checks and does not keep."""
    done = subprocess.run(
        [
            *(str(kube.kubectl), "--kubeconfig", str(kube.kubeconfig), "apply", "-f", "-"),
            *("--server-side", "--force-conflicts", "--dry-run=server"),
        ],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _definition(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{MONITORING}"},
        "spec": {
            "group": MONITORING,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }
