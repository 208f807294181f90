"""Asking components whether they are ready."""

import http.client
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from hack.testbed.errors import TestbedError
from hack.testbed.proxies import past_proxies

__all__ = ["Kubectl", "answers", "containerd_answers"]

_ANSWER_SECONDS: Final = 5.0


def answers(url: str) -> bool:
    """Return whether a health endpoint says yes.

    Whose certificate it shows does not matter: components make their own, and the address is ours.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=_ANSWER_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def containerd_answers(socket: Path) -> bool:
    """Return whether containerd serves on that socket."""
    return (
        subprocess.run(
            ["ctr", "--address", str(socket), "version"], check=False, capture_output=True
        ).returncode
        == 0
    )


class Kubectl:
    """The cluster, through kubectl as its administrator."""

    def __init__(self, command: str, kubeconfig: Path) -> None:
        self._command = [command, "--kubeconfig", str(kubeconfig)]

    def __call__(self, *arguments: str, given: str = "") -> str:
        """Run kubectl with this standard input and return what it prints.

        Raises TestbedError with what it said where it fails.
        """
        done = subprocess.run(
            [*self._command, *arguments],
            env=past_proxies(os.environ),
            input=given,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TestbedError(
                f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}; "
                "`make cluster-status` says whether the API server is up"
            )
        return done.stdout

    def apply(self, text: str) -> None:
        """Apply manifests on the server's side, so that it may be done again at any time."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)

    def condition(self, kind: str, name: str, condition: str) -> bool:
        """Return whether an object says that a condition is true."""
        found = self._get(kind, name).get("status", {}).get("conditions", [])
        return any(each["type"] == condition and each["status"] == "True" for each in found)

    def allocatable(self, node: str, resource: str) -> tuple[int, int]:
        """Return how many of a resource a node has, and how many of them are healthy."""
        status = self._get("node", node).get("status", {})
        return (
            int(status.get("capacity", {}).get(resource, 0)),
            int(status.get("allocatable", {}).get(resource, 0)),
        )

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object, an empty one where it is not to be had."""
        try:
            parsed: dict[str, Any] = json.loads(self("get", kind, name, "--output", "json"))
        except TestbedError:
            return {}
        return parsed
