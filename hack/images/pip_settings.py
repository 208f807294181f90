"""This machine's way to packages, handed to a build as secrets that no layer keeps.

A mirror, a proxy, a folder of wheels or a company's certificate authority is the machine's affair:
it is read from pip itself and appears in no Dockerfile, layer or history.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.images.errors import ImageError

__all__ = ["PipSettings", "host_settings", "parse_config_list"]

_SECRETS = Path("/run/secrets")
_WHEELS = Path("/run/wheels")
# Where to look for packages. What to do with them is the Dockerfile's.
_PASSED_ON = (
    *("extra-index-url", "index-url", "no-index", "proxy", "retries", "timeout", "trusted-host"),
)
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """`config` is the text of a pip.conf as the build sees it.

    `ca_file` is a bundle of certificate authorities; `wheels` are folders of packages.
    """

    config: str
    ca_file: Path | None
    wheels: tuple[Path, ...]

    def build_options(self, config_file: Path) -> list[str]:
        """Return options for ``buildah build``; `config_file` is where `config` was written."""
        options = ["--secret", f"id=pip.conf,src={config_file}"]
        if self.ca_file:
            options += ["--secret", f"id=ca.pem,src={self.ca_file}"]
        for number, folder in enumerate(self.wheels):
            options += ["--volume", f"{folder}:{_WHEELS / str(number)}:ro"]
        return options


def host_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """Ask pip for its settings on this machine. Raises ImageError where it does not answer."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImageError(
            f"`{sys.executable} -m pip config list` failed, so a build would not know where to get "
            f"packages from; mend pip's configuration: {done.stderr.strip()}"
        )
    return settings_of(parse_config_list(done.stdout), environment)


def parse_config_list(text: str) -> dict[str, str]:
    """Return the settings that ``pip config list`` prints, as ``pip install`` would see them."""
    by_section: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        if section in by_section:
            by_section[section][option.removeprefix("default-")] = str(ast.literal_eval(value))
    # The later win.
    return by_section["global"] | by_section["install"] | by_section[":env:"]


def settings_of(options: Mapping[str, str], environment: Mapping[str, str]) -> PipSettings:
    """Return what a build needs of pip's options and of the environment's certificates."""
    lines = ["[global]"]
    lines += [f"{name} = {_on_one_line(options[name])}" for name in _PASSED_ON if options.get(name)]
    wheels: list[Path] = []
    links: list[str] = []
    for place in options.get("find-links", "").split():
        folder = Path(place.removeprefix("file://")).expanduser()
        if "://" in place and not place.startswith("file://"):
            links.append(place)
        elif folder.is_dir() and any(folder.iterdir()):
            links.append(str(_WHEELS / str(len(wheels))))
            wheels.append(folder)
    if links:
        lines.append(f"find-links = {' '.join(links)}")
    ca_file = options.get("cert") or next(
        (environment[name] for name in _CA_VARIABLES if environment.get(name)), None
    )
    if ca_file:
        lines.append(f"cert = {_SECRETS / 'ca.pem'}")
    return PipSettings("\n".join(lines) + "\n", Path(ca_file) if ca_file else None, tuple(wheels))


def _on_one_line(value: str) -> str:
    return " ".join(value.split())
