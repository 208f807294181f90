"""Chained Ogg files: every link is decoded, one after the other."""

import numpy as np
import pytest

from support.audio.media import Track, tones, write_tracks
from whisperfleet.audio.decoder import DecodeLimits, DecoderPool
from whisperfleet.audio.decoder_ogg import MAX_LINKS
from whisperfleet.contract.codes import Code
from whisperfleet.contract.warnings import WarningCode
from whisperfleet.errors import InputError

LINKS = {
    "opus": ("libopus", 48_000),
    "stereo opus": ("libopus", 48_000, "stereo"),
    "flac": ("flac", 16_000),
    "other flac": ("flac", 44_100, "stereo"),
}


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def decoded(pool, path):
    with pool.decode(path) as stream:
        samples = np.concatenate(list(stream))
    return samples, {warning.code: warning.message for warning in stream.warnings}


def written(path, codec, rate, layout="mono", seconds=3.3):
    """Write one link, and return its bytes."""
    sound = tones(rate, 1 + (layout == "stereo"), seconds)
    return write_tracks(path, "ogg", [Track(sound, codec, rate, layout)]).read_bytes()


@pytest.fixture
def links(tmp_path):
    return {name: written(tmp_path / name, *link) for name, link in LINKS.items()}


@pytest.mark.parametrize(
    "chain",
    [
        ["opus", "opus"],
        ["flac", "other flac"],
        ["opus", "flac", "stereo opus"],
    ],
)
def test_every_link_is_decoded(pool, tmp_path, links, chain):
    path = tmp_path / "audio"
    path.write_bytes(b"".join(links[name] for name in chain))
    alone = [decoded(pool, tmp_path / name)[0] for name in chain]
    samples, warnings = decoded(pool, path)
    np.testing.assert_array_equal(samples, np.concatenate(alone))
    assert not warnings


def test_a_link_of_another_rate(pool, tmp_path, links):
    path = tmp_path / "audio"
    path.write_bytes(links["flac"] + links["opus"])
    assert len(decoded(pool, path)[0]) == pytest.approx(6.6 * 16_000, abs=200)


def test_damage_between_two_links(pool, tmp_path, links):
    path = tmp_path / "audio"
    path.write_bytes(links["flac"] + b"OggOgg" + bytes(70_000) + b"Ogg" + links["opus"])
    assert len(decoded(pool, path)[0]) == pytest.approx(6.6 * 16_000, abs=200)


def test_a_link_that_cannot_be_decoded(pool, tmp_path, links):
    path = tmp_path / "audio"
    unknown = links["opus"].replace(b"OpusHead", b"Opushead")
    path.write_bytes(links["flac"] + unknown + links["flac"])
    samples, warnings = decoded(pool, path)
    assert len(samples) == 6.6 * 16_000
    assert warnings.keys() == {WarningCode.CUT_SHORT}
    assert "1 part" in warnings[WarningCode.CUT_SHORT]
    assert "after 3.3 s" in warnings[WarningCode.CUT_SHORT]
    path.write_bytes(unknown * 2)
    with pytest.raises(InputError) as caught:
        decoded(pool, path)
    assert caught.value.code is Code.NOT_AUDIO


def test_all_links_count_together(tmp_path, links):
    path = tmp_path / "audio"
    path.write_bytes(links["flac"] * 4)
    with DecoderPool(1, DecodeLimits(max_seconds=10)) as pool:
        with pytest.raises(InputError) as caught:
            decoded(pool, path)
        assert caught.value.code is Code.TOO_LONG


def test_more_links_than_are_followed(pool, tmp_path):
    link = written(tmp_path / "link", "flac", 8_000, seconds=0.1)
    path = tmp_path / "audio"
    path.write_bytes(link * (MAX_LINKS + 10))
    assert len(decoded(pool, path)[0]) >= MAX_LINKS * 1_600
