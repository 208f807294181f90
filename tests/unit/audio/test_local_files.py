"""Files of this machine: those under a root and no others."""

import pytest

from support.audio.fetching import AUDIO, failure, fetched
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError


@pytest.fixture
def local(tmp_path):
    root = tmp_path / "clips"
    root.mkdir()
    (root / "a b.wav").write_bytes(AUDIO)
    (root / "empty").touch()
    (root / "link").symlink_to("/etc/passwd")
    (tmp_path / "outside").write_bytes(AUDIO)
    return root


def test_files_under_a_root_are_read(local, tmp_path):
    fetcher = Fetcher(FetchPolicy(file_roots=(local,)))
    assert fetched(fetcher, f"file://{local}/a%20b.wav", tmp_path) == AUDIO
    assert fetched(fetcher, f"file://localhost{local}/a%20b.wav", tmp_path) == AUDIO


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", Code.NOT_FOUND),
        ("/../outside", Code.ADDRESS_REFUSED),
        ("/%2e%2e/outside", Code.ADDRESS_REFUSED),
        ("/link", Code.ADDRESS_REFUSED),
        ("", Code.FETCH_REFUSED),
        ("/empty", Code.EMPTY),
        ("/nul%00", Code.NOT_FOUND),
        ("/" + 300 * "a", Code.NOT_FOUND),
    ],
)
def test_other_files_are_not(local, tmp_path, path, code):
    error = failure(Fetcher(FetchPolicy(file_roots=(local,))), f"file://{local}{path}", tmp_path)
    assert (type(error), error.code) == (InputError, code)


def test_the_size_limit_holds_for_files_too(local, tmp_path):
    fetcher = Fetcher(FetchPolicy(file_roots=(local,), max_bytes=10))
    assert failure(fetcher, f"file://{local}/a%20b.wav", tmp_path).code is Code.TOO_LARGE
