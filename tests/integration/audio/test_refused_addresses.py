"""Addresses that get no packet, however they are written and wherever they come from."""

import socket
from dataclasses import replace

import pytest

from support.audio.fetching import ANY_HOST, AUDIO, POLICY, Names, failure, fetched
from support.audio.servers import redirect, response
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError


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
