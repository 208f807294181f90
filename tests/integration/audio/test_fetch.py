"""Fetching over real sockets on loopback: what arrives, and what goes wrong."""

import logging
import socket
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from support.audio.fetching import AUDIO, POLICY, Names, failure, fetched
from support.audio.servers import CHUNKED, TLS, drip, redirect, response, serving, silence
from whisperfleet.audio import fetch as fetch_module
from whisperfleet.audio.fetch import Fetcher, resolve
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, MachineError, TransientError
from whisperfleet.settings.forms import parse_networks


def test_the_file_arrives_as_it_is(server, tmp_path):
    server.answers["/a"] = response(AUDIO)
    assert fetched(Fetcher(POLICY), server.url("/a?x=%2F&y=1"), tmp_path) == AUDIO
    head = server.requests[0].lower()
    assert head.startswith("get /a?x=%2f&y=1 http/1.1")
    assert f"host: 127.0.0.1:{server.port}" in head
    assert "accept-encoding: identity" in head
    assert "authorization" not in head


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["[::1]", "::1", "[0:0::1]"])
def test_an_ipv6_address_with_a_port_can_be_allowed(tmp_path, host):
    with serving("::1") as server:
        server.answers["/a"] = response(AUDIO)
        networks = parse_networks(["::1/128"])
        policy = replace(POLICY, allowed_hosts=(host,), allowed_networks=networks)
        assert fetched(Fetcher(policy), server.url("/a"), tmp_path) == AUDIO
        assert f"Host: [::1]:{server.port}" in server.requests[0]
        error = failure(
            Fetcher(replace(policy, allowed_hosts=("audio.test",))), server.url("/a"), tmp_path
        )
        assert error.code is Code.HOST_REFUSED


def test_a_file_object_is_written_where_it_stands(server, tmp_path):
    server.answers["/a"] = response(AUDIO)
    with (tmp_path / "audio").open("w+b") as file:
        assert Fetcher(POLICY).fetch(server.url("/a"), file) == len(AUDIO)
        assert (tmp_path / "audio").read_bytes() == AUDIO


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, InputError, Code.FETCH_REFUSED),
        (401, InputError, Code.FETCH_REFUSED),
        (403, InputError, Code.FETCH_REFUSED),
        (404, InputError, Code.NOT_FOUND),
        (410, InputError, Code.NOT_FOUND),
        (304, InputError, Code.FETCH_REFUSED),
        (408, TransientError, Code.FETCH_FAILED),
        (425, TransientError, Code.FETCH_FAILED),
        (429, TransientError, Code.FETCH_FAILED),
        (500, TransientError, Code.FETCH_FAILED),
        (503, TransientError, Code.FETCH_FAILED),
    ],
)
def test_each_status_has_its_code(server, tmp_path, status, kind, code):
    server.answers["/a"] = response(b"", status)
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (kind, code)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        pytest.param(response(b""), InputError, Code.EMPTY, id="empty"),
        pytest.param(
            b"HTTP/1.1 200 x\r\nContent-Length: 1001\r\n\r\n",
            InputError,
            Code.TOO_LARGE,
            id="declared",
        ),
        pytest.param(
            lambda client: (client.sendall(b"HTTP/1.1 200 x\r\n\r\n"), drip(b"x" * 100)(client)),
            *(InputError, Code.TOO_LARGE),
            id="endless",
        ),
        pytest.param(
            lambda client: (
                client.sendall(CHUNKED),
                drip(b"64\r\n" + b"x" * 100 + b"\r\n")(client),
            ),
            *(InputError, Code.TOO_LARGE),
            id="endless chunks",
        ),
        pytest.param(CHUNKED + b"64\r\nxx", TransientError, Code.FETCH_FAILED, id="broken chunk"),
        pytest.param(CHUNKED + b"zz\r\nxx", TransientError, Code.FETCH_FAILED, id="no chunk"),
        pytest.param(
            b"HTTP/1.1 200 x\r\nContent-Length: 900\r\n\r\nshort",
            *(TransientError, Code.FETCH_FAILED),
            id="short",
        ),
        pytest.param(
            response(b"x" * 9, 200, "Content-Encoding: gzip"),
            InputError,
            Code.FETCH_REFUSED,
            id="gzip",
        ),
        pytest.param(b"not http at all\r\n\r\n", TransientError, Code.FETCH_FAILED, id="not http"),
        pytest.param(b"", TransientError, Code.FETCH_FAILED, id="hangs up"),
    ],
)
def test_a_server_that_lies(server, tmp_path, answer, kind, code):
    server.answers["/a"] = answer
    error = failure(Fetcher(replace(POLICY, max_bytes=1000)), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "deflate", "zstd", "compress", "GZIP"])
@pytest.mark.parametrize("before", ["", "aws-chunked, "])
def test_compressed_audio_is_refused(server, tmp_path, coding, before):
    server.answers["/a"] = response(AUDIO, 200, f"Content-Encoding: {before}{coding}")
    error = failure(Fetcher(POLICY), server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (InputError, Code.FETCH_REFUSED)
    assert f"compressed ({coding.lower()})" in error.message


@pytest.mark.parametrize(
    "said", ["aws-chunked", "", "utf-8", "binary", "identity", "aws-chunked,", "none", "8bit"]
)
def test_a_content_encoding_that_is_no_coding_changes_nothing(server, tmp_path, said):
    server.answers["/a"] = response(AUDIO, 200, f"Content-Encoding: {said}")
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == AUDIO


# Answers of a part of the file


def test_bytes_beyond_the_declared_length_are_not_read(server, tmp_path):
    server.answers["/a"] = b"HTTP/1.1 200 x\r\nContent-Length: 4\r\n\r\nRIFFmore"
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == b"RIFF"


def test_a_server_that_falls_silent(server, tmp_path):
    server.answers["/a"] = silence
    quick = Fetcher(replace(POLICY, read_timeout_seconds=0.2))
    error = failure(quick, server.url("/a?secret"), tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_TIMEOUT)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(drip(b"H"), id="status line"),
        pytest.param(
            lambda client: (client.sendall(b"HTTP/1.1 200 x\r\nX: "), drip(b"x")(client)),
            id="header",
        ),
        pytest.param(
            lambda client: (client.sendall(b"HTTP/1.1 200 x\r\n\r\n"), drip(b"x")(client)),
            id="body",
        ),
    ],
)
def test_a_slow_drip_meets_the_deadline(server, tmp_path, answer):
    server.answers["/a"] = answer
    started = time.monotonic()
    error = failure(Fetcher(POLICY), server.url("/a"), tmp_path, deadline=started + 0.4)
    assert (type(error), error.code) == (TransientError, Code.FETCH_TIMEOUT)
    assert time.monotonic() - started < 15


def test_a_port_where_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(Fetcher(POLICY), f"http://127.0.0.1:{port}/a?secret", tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_FAILED)


def test_a_dead_address_of_several_is_passed_over(server, tmp_path):
    server.answers["/a"] = response(AUDIO)
    # Nobody listens on that port of 127.0.0.3.
    policy = replace(POLICY, allowed_networks=parse_networks(["127.0.0.1/32", "127.0.0.3/32"]))
    fetcher = Fetcher(policy, Names(["127.0.0.3", "127.0.0.1"]))
    assert fetched(fetcher, server.url("/a", "audio.test"), tmp_path) == AUDIO


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (socket.EAI_NONAME, InputError, Code.NOT_FOUND),
        (socket.EAI_AGAIN, TransientError, Code.FETCH_FAILED),
    ],
)
def test_a_name_that_does_not_resolve(tmp_path, number, kind, code):
    def resolver(*_):
        raise socket.gaierror(number, "no")

    error = failure(Fetcher(POLICY, resolver), "https://audio.test/a?secret", tmp_path)
    assert (type(error), error.code) == (kind, code)


def test_the_real_resolver_reads_numbers_as_the_c_library_does():
    assert resolve("127.1", 80) == [ip_address("127.0.0.1")]
    assert ip_address("127.0.0.1") in resolve("localhost", 80)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, tmp_path, status):
    server.answers |= {"/a": redirect("b?c#d", status), "/b": response(AUDIO)}
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == AUDIO
    assert server.requests[1].startswith("GET /b?c HTTP")


@pytest.mark.parametrize(
    ("to", "asked"),
    [("/a talk", "/a%20talk"), ("/\xe4", "/%C3%A4")],
    ids=["a blank", "another letter"],
)
def test_a_redirect_with_what_should_be_escaped_is_followed(server, tmp_path, to, asked):
    server.answers |= {"/a": redirect(to), asked: response(AUDIO)}
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == AUDIO


def test_as_many_redirects_as_allowed_and_no_more(server, tmp_path):
    server.answers |= {"/a": redirect("/b"), "/b": redirect("/c"), "/c": response(AUDIO)}
    assert fetched(Fetcher(replace(POLICY, max_redirects=2)), server.url("/a"), tmp_path) == AUDIO
    error = failure(Fetcher(replace(POLICY, max_redirects=1)), server.url("/a"), tmp_path)
    assert (type(error), error.code) == (InputError, Code.TOO_MANY_REDIRECTS)


def test_a_redirect_to_itself_ends(server, tmp_path):
    server.answers["/a"] = redirect("/a?secret")
    error = failure(Fetcher(POLICY), server.url("/a"), tmp_path)
    assert error.code is Code.TOO_MANY_REDIRECTS
    assert server.connections == POLICY.max_redirects + 1


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("file:///etc/passwd", Code.FETCH_REFUSED),
        ("ftp://audio.test/secret", Code.FETCH_REFUSED),
        ("http://user:secret@audio.test/", Code.FETCH_REFUSED),
        ("http://audio.test:port/", Code.FETCH_REFUSED),
        ("", Code.FETCH_REFUSED),
        ("http://elsewhere.test/secret?secret", Code.HOST_REFUSED),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(server, tmp_path, to, code):
    server.answers["/a"] = redirect(to)
    error = failure(Fetcher(POLICY), server.url("/a"), tmp_path)
    assert (type(error), error.code) == (InputError, code)


def test_a_redirect_from_https_to_http_needs_http_to_be_allowed(tmp_path):
    with serving(tls=True) as server:
        server.answers["/a"] = redirect("http://audio.test/b")
        policy = replace(POLICY, allow_http=False, ca_file=TLS / "authority.pem")
        fetcher = Fetcher(policy, Names(["127.0.0.1"]))
        error = failure(fetcher, server.url("/a", "audio.test", "https"), tmp_path)
    assert error.code is Code.SCHEME_REFUSED


def test_no_log_tells_the_query(server, tmp_path, caplog):
    server.answers["/a"] = b"HTTP/1.1 200 x\r\nno header\r\nContent-Length: 4\r\n\r\nRIFF"
    with caplog.at_level(logging.DEBUG):
        Fetcher(POLICY).fetch(server.url("/a?secret"), tmp_path / "audio")
    assert "secret" not in caplog.text


def test_a_full_disk_is_nobody_elses_fault(server):
    server.answers["/a"] = response(AUDIO)
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(MachineError, match="No space left"),
    ):
        Fetcher(POLICY).fetch(server.url("/a"), full)


def test_the_resolver_is_the_systems_own_by_default():
    assert Fetcher(POLICY)._resolver is fetch_module.resolve
