"""``python -m hack.manifests``: operator/manifests from the chart, to do without Helm."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from hack.images.recipes import ROOT
from hack.testbed.binaries import Binaries
from hack.testbed.layout import Layout

__all__ = ["CHART", "FOLDER", "ManifestError", "find_helm", "render"]

CHART: Final = ROOT / "charts/whisperfleet"
FOLDER: Final = ROOT / "operator/manifests"

NAMESPACE: Final = "whisperfleet-system"
_HEADER: Final = "# Written by `make manifests` from charts/whisperfleet: change it there.\n"
_NAMESPACE_MANIFEST: Final = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
"""
_TEMPLATES: Final = {
    "rbac.yaml": ("serviceaccount", "rbac"),
    "deployment.yaml": ("deployment",),
    "networkpolicy.yaml": ("networkpolicy",),
}
# What would say that Helm looks after the objects, and where each came from.
_OF_HELM: Final = ("helm.sh/chart:", "app.kubernetes.io/managed-by:", "# Source:")


class ManifestError(Exception):
    """The message says what happened, to what, and what to do."""


def find_helm() -> str:
    """Return the helm to use. Raises ManifestError where there is none."""
    built = Binaries(Layout().cache).addon("helm")
    helm = built if Path(built).exists() else shutil.which("helm")
    if helm is None:
        raise ManifestError(
            "there is no helm to render the chart with: install it, or let `make cluster-up` "
            "build it"
        )
    return helm


def render(helm: str) -> dict[str, str]:
    """Return the text of each manifest by its file's name. Raises ManifestError."""
    texts = dict.fromkeys(_TEMPLATES, _HEADER)
    texts["rbac.yaml"] += _NAMESPACE_MANIFEST
    for name, templates in _TEMPLATES.items():
        for template in templates:
            texts[name] += _of_nobody(_rendered(helm, template))
    return texts


def _rendered(helm: str, template: str) -> str:
    done = subprocess.run(
        [
            *(helm, "template", "whisperfleet", str(CHART), "--namespace", NAMESPACE),
            *("--set", "keda.check=false", "--set", "image.repository=whisperfleet-operator"),
            *("--show-only", f"templates/operator/{template}.yaml"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ManifestError(f"the chart cannot be rendered; helm says: {done.stderr.strip()}")
    return done.stdout


def _of_nobody(text: str) -> str:
    lines = text.splitlines(keepends=True)
    # How many empty lines there are differs between versions of Helm.
    kept = (line for line in lines if line.strip())
    return "".join(line for line in kept if not line.strip().startswith(_OF_HELM))


def main() -> int:
    """Write the manifests; return the exit code."""
    try:
        texts = render(find_helm())
    except ManifestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
