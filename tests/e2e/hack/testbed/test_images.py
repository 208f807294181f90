"""Images of a testbed that runs: what is there already is not loaded again."""

import tarfile
import uuid
from pathlib import Path

import pytest

from cluster.conftest import cluster, testbed
from cluster.kube import until
from hack.testbed import Testbed, TestbedError
from hack.testbed.images import single_program_archive
from hack.testbed.layout import PAUSE_IMAGE

__all__ = ["cluster", "testbed"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]


def test_an_image_that_is_there_is_not_read_again(testbed: Testbed, tmp_path: Path) -> None:
    name = f"whisperfleet.local/test:{uuid.uuid4().hex[:8]}"
    whole, hollow = tmp_path / "whole.tar", tmp_path / "hollow.tar"
    whole.write_bytes(single_program_archive(name, name.encode()))
    _leave_only_the_listing(whole, hollow)
    with pytest.raises(TestbedError, match="did not take"):
        testbed.load_image(hollow)

    testbed.load_image(whole)
    until(lambda: _is_taken(testbed, hollow), "it is found by what the archive says of it")

    # Its name is another's now: it has to be read again, and then is what it was.
    testbed.name_image(PAUSE_IMAGE, name)
    assert not _is_taken(testbed, hollow)
    testbed.load_image(whole)
    assert _is_taken(testbed, hollow)


def _is_taken(testbed: Testbed, archive: Path) -> bool:
    try:
        testbed.load_image(archive)
    except TestbedError:
        return False
    return True


def _leave_only_the_listing(archive: Path, copy: Path) -> None:
    """Copy of an archive what it says of itself, and not the image."""
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        member = source.getmember("manifest.json")
        target.addfile(member, source.extractfile(member))
