"""Which addresses may be contacted."""

from ipaddress import ip_address

import pytest

from whisperfleet.audio.addresses import refusal
from whisperfleet.settings.forms import parse_networks

REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255
    169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1
    192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
    240.0.0.1 255.255.255.255 168.63.129.16 100.100.100.200
    :: ::1 ::8.8.8.8 ::ffff:8.8.8.8 ::ffff:169.254.169.254 ::ffff:0:8.8.8.8 100::1 fc00::1
    fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2001::1 2001:10::1 2001:db8::1 2002:7f00:1::1
    2002:808:808::1 3fff::1 4000::1 5f00::1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
    64:ff9b:1::8.8.8.8
""".split()
ALLOWED = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1
    192.169.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1 64:ff9b::8.8.8.8
""".split()


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_a_public_host_is_refused(address):
    assert refusal(ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_host_is_not_refused(address):
    assert refusal(ip_address(address)) is None


def test_a_network_may_be_allowed_by_name():
    allowed = parse_networks(["10.20.0.0/16", " fd12::/48 "])
    assert refusal(ip_address("10.20.3.4"), allowed) is None
    assert refusal(ip_address("fd12::9"), allowed) is None
    assert refusal(ip_address("10.21.3.4"), allowed) == "private"


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"),
        *("fd00:ec2::254", "64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1"),
    ],
)
def test_no_allow_list_opens_metadata_services_or_disguises(address):
    assert refusal(ip_address(address), parse_networks(["0.0.0.0/0", "::/0"]))


def test_a_malformed_network_is_explained():
    with pytest.raises(ValueError, match=r"10\.20\.0\.1/16.*host bits.*write it as"):
        parse_networks(["10.20.0.1/16"])
