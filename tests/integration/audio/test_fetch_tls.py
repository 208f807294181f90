"""Fetching over TLS: whose certificate is trusted for whom."""

import time
from dataclasses import replace

import pytest

from support.audio.fetching import AUDIO, POLICY, Names, failure, fetched
from support.audio.servers import TLS, drip, response, serving
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.codes import Code
from whisperfleet.errors import ConfigurationError, InputError, TransientError


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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read .No such file"), ("not a certificate", "holds no certificates in PEM")],
)
def test_a_file_of_authorities_that_cannot_be_used_is_named(tmp_path, content, sentence):
    authorities = tmp_path / "authorities.pem"
    if content is not None:
        authorities.write_text(content)
    with pytest.raises(ConfigurationError, match=f"authorities.pem {sentence}") as caught:
        Fetcher(replace(TRUSTING, ca_file=authorities))
    assert "--fetch-ca-file" in str(caught.value)


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
