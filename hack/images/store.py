"""Where images and their parts are kept between builds, outside the tree."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Store"]

# An archive that another process has just been given stays while it loads it.
_KEPT_ARCHIVES = 2


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whisperfleet" / "images"


@dataclass(frozen=True, slots=True)
class Store:
    """One folder: buildah's storage with its cache of layers, and finished archives."""

    folder: Path = field(default_factory=_cache)

    @property
    def layer_sizes(self) -> Path:
        """Compressed sizes of layers that were measured before, as JSON by digest."""
        return self.folder / "layer-sizes.json"

    @property
    def _scratch(self) -> Path:
        return self.folder / "tmp"

    def archive(self, name: str, key: str) -> Path:
        """Where the archive of an image lies whose content has this key."""
        return self.folder / "archives" / name / f"{key}.tar"

    def buildah(self, *arguments: str) -> list[str]:
        """Return a command of buildah that works on this store alone, its caches included."""
        return [
            *("env", f"TMPDIR={self._scratch}", "buildah"),
            *("--root", str(self.folder / "storage")),
            *("--runroot", str(self.folder / "run")),
            *arguments,
        ]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other builds out of this store; wait for one that is under way."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def drop_old_archives(self, name: str) -> None:
        """Remove all but the newest archives of an image."""
        folder = self.archive(name, "any").parent
        archives = sorted(folder.glob("*.tar"), key=lambda archive: archive.stat().st_mtime)
        for old in archives[:-_KEPT_ARCHIVES]:
            old.unlink()
