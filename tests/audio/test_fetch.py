"""Fetching over real sockets on loopback: what arrives, what is refused, what gets no packet."""

import logging
import socket
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from audio.servers import TLS, drip, redirect, response, serving, silence
from whisperfleet.audio import fetch as fetch_module
from whisperfleet.audio.addresses import parse_networks
from whisperfleet.audio.fetch import Fetcher, resolve
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, JobError, TransientError

# Only the test's own server may be contacted; 127.0.0.2 stands for all that may not.
POLICY = FetchPolicy(
    allow_http=True,
    allowed_hosts=("audio.test", "*.audio.test", "127.0.0.1"),
    allowed_networks=parse_networks(["127.0.0.1/32"]),
    connect_timeout_seconds=20,
    read_timeout_seconds=20,
    total_timeout_seconds=60,
)
# For names that no list restricts: the address alone decides.
ANY_HOST = replace(POLICY, allowed_hosts=(), allowed_ports=frozenset(range(1, 65536)))
AUDIO = bytes(range(256)) * 1000


class Names:
    """A resolver: answers in turn, the last one for ever, and counts the look-ups."""

    def __init__(self, *answers):
        self.answers = [[ip_address(address) for address in answer] for answer in answers]
        self.asked = []

    def __call__(self, host, port):
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def forbidden():
    with serving("127.0.0.2") as running:
        yield running
        assert running.connections == 0


def fetched(fetcher, url, tmp_path, **options):
    target = tmp_path / "audio"
    size = fetcher.fetch(url, target, **options)
    content = target.read_bytes()
    assert size == len(content)
    return content


def failure(fetcher, url, tmp_path, **options):
    """Fetch in vain; whatever the reason, nothing is left and no secret is told."""
    target = tmp_path / "audio"
    with pytest.raises(JobError) as caught:
        fetcher.fetch(url, target, **options)
    assert not target.exists()
    assert "secret" not in str(caught.value)
    assert ";" in caught.value.message
    return caught.value


def test_the_file_arrives_as_it_is(server, tmp_path):
    server.answers["/a"] = response(AUDIO)
    assert fetched(Fetcher(POLICY), server.url("/a?x=%2F&y=1"), tmp_path) == AUDIO
    head = server.requests[0].lower()
    assert head.startswith("get /a?x=%2f&y=1 http/1.1")
    assert f"host: 127.0.0.1:{server.port}" in head
    assert "accept-encoding: identity" in head
    assert "authorization" not in head


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


CHUNKED = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"


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


# Addresses that get no packet


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.2",
            "127.0.2",
            "2130706434",
            "0x7f000002",
            "0x7f.2",
            "0177.0.0.2",
            "017700000002",
        ),
        *(
            "[::ffff:127.0.0.2]",
            "[::127.0.0.2]",
            "127.0.0.2.",
            "\uff11\uff12\uff17.0.0.2",
            "127\u30020\u30020\u30022",
        ),
    ],
)
def test_a_refused_address_gets_no_packet_however_it_is_written(forbidden, tmp_path, host):
    error = failure(Fetcher(ANY_HOST), forbidden.url("/latest/meta-data", host), tmp_path)
    assert (type(error), error.code) == (InputError, Code.ADDRESS_REFUSED)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "2852039166", "0xa9fea9fe", "0xa9.0xfe.43518", "0251.0376.0251.0376"),
        *(
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[fd00:ec2::254]",
            "[64:ff9b::a9fe:a9fe]",
        ),
        *("10.0.0.1", "[::1]", "[::]", "0", "0.0.0.0", "localhost", "100.64.0.1", "[fe80::1]"),
    ],
)
def test_metadata_and_private_addresses_are_refused(tmp_path, host):
    # No sockets but for names: a packet would be an error of its own.
    policy = replace(ANY_HOST, allowed_networks=())
    error = failure(Fetcher(policy), f"http://{host}/latest/meta-data?secret", tmp_path)
    assert (type(error), error.code) == (InputError, Code.ADDRESS_REFUSED)


def test_a_name_that_leads_to_a_refused_address_gets_no_packet(forbidden, tmp_path):
    fetcher = Fetcher(POLICY, Names(["127.0.0.2"]))
    error = failure(fetcher, forbidden.url("/a", "audio.test"), tmp_path)
    assert error.code is Code.ADDRESS_REFUSED
    assert "127.0.0.2" not in error.message


def test_one_refused_address_among_good_ones_refuses_the_name(server, tmp_path):
    fetcher = Fetcher(POLICY, Names(["127.0.0.1", "127.0.0.2"]))
    assert failure(fetcher, server.url("/a", "audio.test"), tmp_path).code is Code.ADDRESS_REFUSED
    assert server.connections == 0


def test_a_redirect_to_a_refused_address_gets_no_packet(server, forbidden, tmp_path):
    server.answers["/a"] = redirect(forbidden.url("/latest/meta-data"))
    assert failure(Fetcher(ANY_HOST), server.url("/a"), tmp_path).code is Code.ADDRESS_REFUSED
    server.answers["/a"] = redirect("http://169.254.169.254/latest/meta-data")
    assert failure(Fetcher(ANY_HOST), server.url("/a"), tmp_path).code is Code.ADDRESS_REFUSED
    assert server.connections == 2


@pytest.mark.usefixtures("forbidden")
def test_a_name_is_resolved_once_and_that_address_contacted(server, tmp_path, monkeypatch):
    server.answers["/a"] = response(AUDIO)
    looked_up = []
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: looked_up.append(host) or real(host, *a, **k)
    )
    names = Names(["127.0.0.1"], ["127.0.0.2"])  # good when checked, bad ever after
    assert fetched(Fetcher(POLICY, names), server.url("/a", "audio.test"), tmp_path) == AUDIO
    assert names.asked == [("audio.test", server.port)]
    assert set(looked_up) == {"127.0.0.1"}
    assert f"Host: audio.test:{server.port}" in server.requests[0]


@pytest.mark.usefixtures("forbidden")
def test_a_redirect_is_resolved_anew(server, tmp_path):
    server.answers["/a"] = redirect("/b")
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    error = failure(Fetcher(POLICY, names), server.url("/a", "audio.test"), tmp_path)
    assert error.code is Code.ADDRESS_REFUSED
    assert server.connections == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://user:secret@127.0.0.1/", Code.INVALID_JOB),
        ("http://127.0.0.1\\@127.0.0.2/", Code.INVALID_JOB),
        ("http://127.0.0.1@127.0.0.2/", Code.INVALID_JOB),
        ("no address", Code.INVALID_JOB),
        ("gopher://127.0.0.1/secret", Code.SCHEME_REFUSED),
        ("data:audio/wav;base64,secret", Code.SCHEME_REFUSED),
        ("s3://bucket/secret", Code.SCHEME_REFUSED),
        ("file:///etc/passwd", Code.SCHEME_REFUSED),
        ("FILE:/etc/passwd", Code.SCHEME_REFUSED),
        ("http://elsewhere.test/", Code.HOST_REFUSED),
    ],
)
def test_addresses_that_are_refused_as_they_stand(tmp_path, url, code):
    error = failure(Fetcher(POLICY), url, tmp_path)
    assert (type(error), error.code) == (InputError, code)


def test_proxies_of_the_environment_are_not_used(server, forbidden, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, forbidden.url("/"))
    server.answers["/a"] = response(AUDIO)
    assert fetched(Fetcher(POLICY), server.url("/a"), tmp_path) == AUDIO


# TLS


@pytest.fixture
def secure():
    with serving(tls=True) as running:
        running.answers["/a"] = response(AUDIO)
        yield running


TRUSTING = replace(POLICY, allow_http=False, ca_file=TLS / "authority.pem")


def test_the_certificate_is_verified_against_the_name_not_the_address(secure, tmp_path):
    fetcher = Fetcher(TRUSTING, Names(["127.0.0.1"]))
    assert fetched(fetcher, secure.url("/a", "audio.test", "https"), tmp_path) == AUDIO


@pytest.mark.parametrize("host", ["other.audio.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(secure, tmp_path, host):
    error = failure(
        Fetcher(TRUSTING, Names(["127.0.0.1"])), secure.url("/a?secret", host, "https"), tmp_path
    )
    assert (type(error), error.code) == (InputError, Code.FETCH_REFUSED)
    assert secure.requests == []


def test_an_unknown_authority_is_refused(secure, tmp_path):
    fetcher = Fetcher(replace(TRUSTING, ca_file=None), Names(["127.0.0.1"]))
    error = failure(fetcher, secure.url("/a", "audio.test", "https"), tmp_path)
    assert (type(error), error.code) == (InputError, Code.FETCH_REFUSED)
    assert secure.requests == []


def test_a_server_that_does_not_speak_tls(server, tmp_path):
    fetcher = Fetcher(TRUSTING, Names(["127.0.0.1"]))
    server.greeting = response(AUDIO)
    error = failure(fetcher, server.url("/a", "audio.test", "https"), tmp_path)
    assert (type(error), error.code) == (TransientError, Code.FETCH_FAILED)


def test_a_tls_server_that_drips_its_headers_meets_the_deadline(secure, tmp_path):
    secure.answers["/a"] = drip(b"H")
    fetcher = Fetcher(TRUSTING, Names(["127.0.0.1"]))
    url = secure.url("/a", "audio.test", "https")
    # Long enough for the handshake on a busy machine.
    error = failure(fetcher, url, tmp_path, deadline=time.monotonic() + 2)
    assert error.code is Code.FETCH_TIMEOUT
    assert secure.requests


# The rest


def test_no_log_tells_the_query(server, tmp_path, caplog):
    server.answers["/a"] = b"HTTP/1.1 200 x\r\nno header\r\nContent-Length: 4\r\n\r\nRIFF"
    with caplog.at_level(logging.DEBUG):
        Fetcher(POLICY).fetch(server.url("/a?secret"), tmp_path / "audio")
    assert "secret" not in caplog.text


def test_a_full_disk_is_nobody_elses_fault(server):
    server.answers["/a"] = response(AUDIO)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(TransientError) as caught:
        Fetcher(POLICY).fetch(server.url("/a"), full)
    assert caught.value.code is Code.FETCH_FAILED
    assert "No space left" in caught.value.message


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
    ],
)
def test_other_files_are_not(local, tmp_path, path, code):
    error = failure(Fetcher(FetchPolicy(file_roots=(local,))), f"file://{local}{path}", tmp_path)
    assert (type(error), error.code) == (InputError, code)


def test_the_size_limit_holds_for_files_too(local, tmp_path):
    fetcher = Fetcher(FetchPolicy(file_roots=(local,), max_bytes=10))
    assert failure(fetcher, f"file://{local}/a%20b.wav", tmp_path).code is Code.TOO_LARGE


def test_the_resolver_is_the_systems_own_by_default():
    assert Fetcher(POLICY)._resolver is fetch_module.resolve
