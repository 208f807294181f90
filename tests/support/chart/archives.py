"""An image under another name."""

import io
import json
import tarfile
from pathlib import Path
from typing import Final

_INDEX: Final = "manifest.json"


def renamed(archive: Path, reference: str, folder: Path) -> Path:
    """Return a copy of a docker archive whose image has another name."""
    copy = folder / f"{reference.replace('/', '_').replace(':', '_')}.tar"
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        for member in source:
            content = source.extractfile(member)
            if member.name == _INDEX:
                assert content is not None
                (entry,) = json.load(content)
                text = json.dumps([{**entry, "RepoTags": [reference]}]).encode()
                member.size, content = len(text), io.BytesIO(text)
            target.addfile(member, content)
    return copy
