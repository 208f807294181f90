"""What each image is made of."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

__all__ = ["BASE", "OPERATOR", "REDIS", "ROOT", "WORKER", "WORKER_CUDA", "Recipe", "project_table"]

ROOT: Final = Path(__file__).resolve().parents[2]

_PROJECT = "pyproject.toml"
_DEMO_MODEL = "inference/whisperfleet/demo/data/model"


def project_table(tree: Path = ROOT) -> dict[str, Any]:
    """Return the table `project` of a tree's pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((tree / _PROJECT).read_text("utf-8"))["project"]
    return table


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image's name in clusters, and where its parts lie below `ROOT`.

    `inputs` are the files and folders whose content decides what the image is; its Dockerfile is
    one of them. `model` is the folder of the model that is baked into it, `device` what that is to
    run on, where the Dockerfile asks.
    """

    name: str
    reference: str
    dockerfile: str
    context: str
    inputs: tuple[str, ...]
    model: str | None = None
    device: str | None = None

    @property
    def is_versioned(self) -> bool:
        """Whether it holds the project's own package, and so says which version of it."""
        return _PROJECT in self.inputs


BASE: Final = Recipe(
    name="base",
    reference="localhost/whisperfleet-base:bookworm",
    dockerfile="hack/images/base/Dockerfile",
    context="hack/images/base",
    inputs=("hack/images/base/Dockerfile", "hack/images/debian.py"),
)

# Debian's version, which is what operators run that cannot or will not follow Redis further.
REDIS: Final = Recipe(
    name="redis",
    reference="whisperfleet.local/redis:7.0",
    dockerfile="hack/images/redis/Dockerfile",
    context="hack/images/redis",
    inputs=("hack/images/redis/Dockerfile",),
)

WORKER: Final = Recipe(
    name="worker",
    reference=f"whisperfleet.local/worker:{project_table()['version']}",
    dockerfile="inference/Dockerfile",
    context=".",
    inputs=(
        ".dockerignore",
        "LICENSE",
        "README.md",
        "inference/Dockerfile",
        "inference/whisperfleet",
        _PROJECT,
        "requirements/build.txt",
        "requirements/cuda.txt",
        "requirements/worker.txt",
    ),
    model=_DEMO_MODEL,
)

WORKER_CUDA: Final = replace(
    WORKER, name="worker-cuda", reference=f"{WORKER.reference}-cuda", device="cuda"
)

# Of the worker's package only what both share: a change of anything else is the same operator.
OPERATOR: Final = Recipe(
    name="operator",
    reference=f"whisperfleet.local/operator:{project_table()['version']}",
    dockerfile="operator/Dockerfile",
    context=".",
    inputs=(
        ".dockerignore",
        "LICENSE",
        "README.md",
        "inference/whisperfleet/__init__.py",
        "inference/whisperfleet/backoff.py",
        "inference/whisperfleet/contract",
        "inference/whisperfleet/errors.py",
        "inference/whisperfleet/exit_codes.py",
        "inference/whisperfleet/health.py",
        "inference/whisperfleet/queue",
        "inference/whisperfleet/settings",
        "operator/Dockerfile",
        "operator/whisperfleet_operator",
        _PROJECT,
        "requirements/build.txt",
        "requirements/operator.txt",
    ),
)
