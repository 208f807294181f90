"""What was sent in place of audio is named, with what to do about it."""

import base64
import io
import zipfile

import pytest

from support.audio.media import write_audio
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module", params=[("wav", "pcm_s16le"), ("mp3", "mp3"), ("ogg", "libopus")])
def audio(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "audio"
    return write_audio(path, *request.param, 48_000, seconds=1).read_bytes()


def refusal(pool, tmp_path, content):
    path = tmp_path / "audio"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught, pool.decode(path) as stream:
        list(stream)
    assert caught.value.code is Code.NOT_AUDIO
    return caught.value.message


ENCODINGS = {
    "base64": (base64.b64encode, "this is base64 text, not audio; decode it and send the raw"),
    "base64 in lines": (base64.encodebytes, "base64 text"),
    "base64 for addresses": (base64.urlsafe_b64encode, "base64 text"),
    "base64 in quotes": (lambda audio: b'"' + base64.b64encode(audio) + b'"\n', "base64 text"),
    "data: URL": (lambda audio: b"data:audio/wav;base64," + base64.b64encode(audio), "a data: URL"),
    "hex": (lambda audio: audio.hex().encode(), "hexadecimal text"),
    "spaced hex": (lambda audio: audio.hex(" ").upper().encode(), "hexadecimal text"),
    "mangled": (lambda audio: audio.decode("utf-8", "replace").encode(), "took for UTF-8 text"),
    "as letters": (lambda audio: audio.decode("latin-1").encode(), "took for letters"),
    "as a literal": (lambda audio: repr(audio).encode(), "a bytes literal"),
    "JSON": (lambda audio: b'{"audio": "' + base64.b64encode(audio) + b'"}', "JSON"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_audio_that_was_encoded_on_its_way(pool, tmp_path, audio, encoding):
    encode, told = ENCODINGS[encoding]
    assert told in refusal(pool, tmp_path, encode(audio))


@pytest.mark.parametrize(
    "kind", [("wav", "pcm_mulaw", 8_000), ("flac", "flac", 16_000), ("flv", "aac", 44_100)]
)
def test_mangled_audio_that_can_still_be_opened_is_no_noise_to_transcribe(pool, tmp_path, kind):
    audio = write_audio(tmp_path / "audio", *kind).read_bytes()
    mangled = audio.decode("utf-8", "replace").encode()
    assert "took for UTF-8 text" in refusal(pool, tmp_path, mangled)


def test_a_tag_with_damaged_letters_does_not_matter(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "mp3", "mp3", 44_100)
    with pool.decode(path) as stream:
        samples = [block.tobytes() for block in stream]
    title = b"\x03" + ("\N{REPLACEMENT CHARACTER}" * 30).encode()
    frame = b"TIT2\0\0\0" + bytes([len(title)]) + b"\0\0" + title + bytes(2_000)
    size = bytes([len(frame) >> 7, len(frame) & 127])
    path.write_bytes(b"ID3\x04\0\0\0\0" + size + frame + path.read_bytes())
    with pool.decode(path) as stream:
        assert [block.tobytes() for block in stream] == samples


def an_archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("audio.wav", b"RIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b"[]", "JSON"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (an_archive(), "a ZIP archive"),
        (b"\x1f\x8b\x08\0" + bytes(100), "gzip-compressed data"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), "a picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100), "a picture"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(100), "a picture"),
        (b"MThd\0\0\0\x06\0\0\0\x01\0\x60" + bytes(100), "a MIDI file"),
        (b"#EXTM3U\nhttps://example.org/a.mp3\n", "a playlist"),
        (b"https://example.org/a.mp3\n", "an address as text"),
        (b" \r\n\n", "nothing but white space"),
        (b"Hello", "plain text"),
        ("Grüße an alle, die dies lesen.\n".encode() * 300, "plain text"),
        ("\N{BYTE ORDER MARK}Hello".encode("utf-16"), "plain text"),
        (bytes(1_000), "no complete audio file of a kind that is known"),
    ],
)
def test_what_is_no_audio_is_named(pool, tmp_path, content, told):
    message = refusal(pool, tmp_path, content)
    assert told in message
    assert ";" in message
