"""How an address is read."""

import pytest

from whisperfleet.audio.locations import Location, parse_location, resolve_redirect
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://Example.ORG", Location("https", "example.org", 443, "/")),
        (
            "https://example.org./a%2fb?X=%2F&y=%20",
            Location("https", "example.org", 443, "/a%2fb?X=%2F&y=%20"),
        ),
        ("http://example.org:8080/ä#top", Location("http", "example.org", 8080, "/%C3%A4")),
        ("https://bücher.example/", Location("https", "xn--bcher-kva.example", 443, "/")),
        ("https://[2001:DB8:0::1]:8443/a", Location("https", "2001:db8::1", 8443, "/a")),
        (
            "https://example.org//evil.example/",
            Location("https", "example.org", 443, "//evil.example/"),
        ),
    ],
)
def test_the_parts_of_an_address(url, location):
    assert parse_location(url) == location


@pytest.mark.parametrize(
    "url",
    [
        *("", "https://", "example.org/a", "ftp://example.org/", "https:///a", "//example.org/"),
        *("https://user@example.org/", "https://user:secret@example.org/", "https://@example.org/"),
        *("https://example.org\\@evil.example/", "https://example.org/\t", "https://exa mple.org/"),
        *("https://example.org:0/", "https://example.org:65536/", "https://example.org:x/"),
        *("https://[fe80::1%25eth0]/", "https://[::1/", "https://[v1.a]/", "https://%31.example/"),
        *("https://a..b/", "https://-/", "https://" + "a" * 300 + ".example/"),
    ],
)
def test_what_cannot_be_read_the_same_way_by_everyone_is_refused(url):
    with pytest.raises(ValueError, match=r"^the address .*; \w+") as caught:
        parse_location(url)
    assert "secret" not in str(caught.value)


def test_the_name_of_an_address_has_no_query():
    location = parse_location("https://example.org:444/a/b?signature=secret#secret")
    assert str(location) == "https://example.org:444/a/b"
    assert "secret" not in repr(location)
    assert len(str(parse_location("https://example.org/" + "a" * 8000))) < 300


def test_a_redirect_is_seen_from_where_it_was_given():
    origin = parse_location("https://example.org:444/a/b?c")
    assert resolve_redirect(origin, "d?e") == Location("https", "example.org", 444, "/a/d?e")
    assert resolve_redirect(origin, "//example.com/f") == Location(
        "https", "example.com", 443, "/f"
    )


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("a talk.ogg?of=Ms. Zoe", "/a%20talk.ogg?of=Ms.%20Zoe"),
        ("/\xc3\xa4.ogg", "/%C3%A4.ogg"),
        ("/\xe4.ogg", "/%E4.ogg"),
        ("/a%20b%2Fc", "/a%20b%2Fc"),
        (" /a ", "/a"),
    ],
    ids=["a blank", "UTF-8", "Latin-1", "escaped", "blanks around it"],
)
def test_a_redirect_is_escaped_as_browsers_do(reference, target):
    origin = parse_location("https://example.org/")
    assert resolve_redirect(origin, reference) == Location("https", "example.org", 443, target)


def test_a_redirect_to_a_name_of_other_letters_is_followed():
    origin = parse_location("https://example.org/")
    led = resolve_redirect(origin, "https://b\xc3\xbccher.example/")
    assert led == Location("https", "xn--bcher-kva.example", 443, "/")


@pytest.mark.parametrize("reference", ["https://a b.example/", "https://a.example\\@b.example/"])
def test_a_redirect_that_can_be_read_in_two_ways_is_refused(reference):
    with pytest.raises(ValueError, match=r"^it redirects, and the address"):
        resolve_redirect(parse_location("https://example.org/"), reference)


@pytest.mark.parametrize(
    ("policy", "url", "code"),
    [
        (FetchPolicy(), "http://example.org/", Code.SCHEME_REFUSED),
        (FetchPolicy(), "https://example.org:8443/", Code.HOST_REFUSED),
        (FetchPolicy(), "https://example.org/", None),
        (FetchPolicy(allow_http=True), "http://example.org/", None),
        (FetchPolicy(allow_http=True), "http://example.org:443/", Code.HOST_REFUSED),
        (FetchPolicy(allowed_hosts=("example.org",)), "https://example.org:9000/", None),
        (FetchPolicy(allowed_hosts=("example.org",)), "https://a.example.org/", Code.HOST_REFUSED),
        (FetchPolicy(allowed_hosts=("*.example.org",)), "https://a.b.example.org/", None),
        (FetchPolicy(allowed_hosts=("*.example.org",)), "https://example.org/", Code.HOST_REFUSED),
        (
            FetchPolicy(allowed_hosts=("*.example.org",)),
            "https://badexample.org/",
            Code.HOST_REFUSED,
        ),
        (FetchPolicy(allowed_hosts=("[2001:DB8::1]",)), "https://[2001:db8:0::1]:9000/", None),
        (FetchPolicy(allowed_hosts=("2001:db8::1",)), "https://[2001:db8::1]/", None),
        (FetchPolicy(allowed_hosts=("[::1]",)), "https://[::2]:9000/", Code.HOST_REFUSED),
        (FetchPolicy(allowed_ports=frozenset({9000})), "https://example.org:9000/", None),
        (FetchPolicy(allowed_ports=frozenset({9000})), "https://example.org/", Code.HOST_REFUSED),
    ],
)
def test_what_a_policy_admits(policy, url, code):
    if code is None:
        policy.check_location(parse_location(url))
    else:
        with pytest.raises(InputError) as caught:
            policy.check_location(parse_location(url))
        assert caught.value.code is code


@pytest.mark.parametrize(
    "host",
    [
        *("", "*.", "*", "https://example.org", "Example.org", "a:9000"),
        *("[::1]:9000", "[::1", "::1]", "[fe80::1%eth0]", "*.[::1]", "[127.0.0.1]"),
    ],
)
def test_a_malformed_allowed_host_is_explained(host):
    with pytest.raises(ValueError, match="write a name in lower case"):
        FetchPolicy(allowed_hosts=(host,))
