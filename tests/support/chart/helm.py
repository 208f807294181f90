"""Helm as a person runs it, and what its templates give."""

import os
import subprocess
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from hack.manifests import CHART

Json = dict[str, Any]

CI: Final = CHART / "ci"
VALUES: Final = sorted(CI.glob("*-values.yaml"))
# A rendering asks no cluster what it has.
_KEDA: Final = ("--api-versions", "keda.sh/v1alpha1")
_IMAGE: Final = ("--set", "image.repository=example/operator")

_SECONDS: Final = 240


class StrictLoader(yaml.SafeLoader):
    """Refuses what YAML forbids and most readers let pass: the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice, {node.start_mark}: {keys}"
        return super().construct_mapping(node, deep)


def load_all(text: str) -> list[Json]:
    """Return the objects of a YAML text."""
    return [each for each in yaml.load_all(text, StrictLoader) if each]


@dataclass(frozen=True)
class Helm:
    """`command` is the binary; its caches and settings go to `home`, not to a person's."""

    command: str
    home: Path
    kubeconfig: Path | None = None
    seconds: float = field(default=_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """Return what its process needs to know."""
        homes = {f"HELM_{each}_HOME": str(self.home) for each in ("CACHE", "CONFIG", "DATA")}
        cluster = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return {**os.environ, **homes, **cluster}

    def run(self, *arguments: str) -> str:
        """Return what it writes; fail with what it says instead."""
        done = self._do(*arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def refusal(self, *arguments: str) -> str:
        """Return what it says when it refuses, which it must."""
        done = self._do(*arguments)
        assert done.returncode != 0, f"helm {' '.join(arguments)} went well: {done.stdout}"
        return done.stderr

    def template(self, *arguments: str, name: str = "whisperfleet") -> list[Json]:
        """Return the objects of the chart, rendered for a cluster with KEDA.

        The image is an example's, unless a file says which.
        """
        image = () if "--values" in arguments else _IMAGE
        return load_all(self.run("template", name, str(CHART), *_KEDA, *image, *arguments))

    def _do(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.seconds,
            check=False,
        )
