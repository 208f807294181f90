"""A file that comes in several answers: its parts join, or it is no file."""

from dataclasses import replace

import pytest

from support.audio.fetching import AUDIO, POLICY, failure, fetched
from support.audio.servers import CHUNKED, drip, redirect, response
from whisperfleet.audio import fetch as fetch_module
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, TransientError

AUDIO_BYTES = len(AUDIO)


def asked_range(request: str) -> tuple[int, str]:
    """Return from where on a request asks for bytes, and the tag that it names."""
    headers = dict(line.lower().split(": ", 1) for line in request.split("\r\n") if ": " in line)
    begin = headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-")
    return int(begin), headers.get("if-range", "")


def in_parts(server, size, *headers, whole=AUDIO_BYTES):
    """Answer with at most `size` bytes, from where a request asks for them."""

    def send(client):
        begin, _ = asked_range(server.requests[-1])
        end = min(begin + size, len(AUDIO))
        told = f"Content-Range: bytes {begin}-{end - 1}/{whole}"
        client.sendall(response(AUDIO[begin:end], 206, told, *headers))

    return send


@pytest.mark.parametrize("size", [len(AUDIO), len(AUDIO) // 2, 100_000])
def test_the_rest_of_a_half_answer_is_asked_for(server, tmp_path, size):
    server.answers["/a"] = in_parts(server, size, 'ETag: "one"')
    assert fetched(Fetcher(POLICY), server.url("/a?b"), tmp_path) == AUDIO
    first, *rest = [asked_range(request) for request in server.requests]
    assert first == (0, "")
    assert rest == [(begin, '"one"') for begin in range(size, len(AUDIO), size)]
    assert "range:" not in server.requests[0].lower()


def test_a_half_answer_after_a_redirect(server, tmp_path):
    server.answers |= {"/a": redirect("/b"), "/b": in_parts(server, 200_000)}
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == AUDIO


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Content-Range: bytes 0-99/*"],
        ["Content-Range: bytes 100-199/1000"],
        ["Content-Range: bytes 0-98/1000"],
        ["Content-Range: bytes 0-99/99"],
        ["Content-Range: frames 0-99/1000"],
        ["Content-Type: multipart/byteranges; boundary=a"],
    ],
    ids=["untold", "no whole", "the middle", "another length", "beyond", "no bytes", "several"],
)
def test_a_half_answer_that_cannot_be_completed_is_tried_again(server, tmp_path, headers):
    server.answers["/a"] = response(b"x" * 100, 206, *headers)
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_FAILED)
    assert "a part of the file (206)" in error.message


@pytest.mark.parametrize(
    "then",
    [
        response(AUDIO),
        response(AUDIO[:100], 206, f"Content-Range: bytes 0-99/{len(AUDIO)}", 'ETag: "one"'),
        response(AUDIO[99:], 206, "Content-Range: bytes 100-255999/256000", 'ETag: "one"'),
        response(AUDIO[100:], 206, "Content-Range: bytes 100-255999/256000", 'ETag: "two"'),
        response(AUDIO[100:200], 206, "Content-Range: bytes 100-199/200", 'ETag: "one"'),
        CHUNKED.replace(b"200", b"206").removesuffix(b"\r\n")
        + b'Content-Range: bytes 100-255999/256000\r\nETag: "one"\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    ],
    ids=["all of it", "the same part", "too much", "another file", "another whole", "too little"],
)
def test_parts_that_do_not_join_are_no_file(server, tmp_path, then):
    first = response(AUDIO[:100], 206, f"Content-Range: bytes 0-99/{len(AUDIO)}", 'ETag: "one"')
    server.answers["/a"] = lambda client: client.sendall(
        then if "range: bytes=100-" in server.requests[-1].lower() else first
    )
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_FAILED)
    assert "a part of the file (206)" in error.message


def test_a_half_answer_of_a_file_that_is_too_large(server, tmp_path):
    server.answers["/a"] = in_parts(server, 100, whole=2**40)
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (InputError, Code.TOO_LARGE)


def test_parts_together_are_no_larger_than_a_file_may_be(server, tmp_path):
    def send(client):
        begin, _ = asked_range(server.requests[-1])
        if begin == 0:
            client.sendall(response(b"x" * 900, 206, "Content-Range: bytes 0-899/1000"))
            return
        told = CHUNKED.replace(b"200", b"206").removesuffix(b"\r\n")
        client.sendall(told + b"Content-Range: bytes 900-999/1000\r\n\r\n")
        drip(b"64\r\n" + b"x" * 100 + b"\r\n")(client)

    server.answers["/a"] = send
    fetcher = Fetcher(replace(POLICY, max_bytes=1000))
    with (tmp_path / "file").open("wb") as file, pytest.raises(InputError) as caught:
        fetcher.fetch(server.url("/a?secret"), file)
    assert caught.value.code is Code.TOO_LARGE
    assert (tmp_path / "file").stat().st_size <= 1000


def test_a_file_in_countless_parts_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "_MAX_PARTS", 3)
    server.answers["/a"] = in_parts(server, 1)
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_FAILED)
    assert "in more than 3 parts" in error.message
