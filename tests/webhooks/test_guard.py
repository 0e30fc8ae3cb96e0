"""Where an endpoint may be."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.webhooks.guard import BadAddress, Target, parse, public

PORTS = [80, 443]


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_not_of_the_public_internet_is_denied(address: str) -> None:
    assert not public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "193.0.0.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:800::200e",
        "2001:4860::8888",
    ],
)
def test_what_is_public_is_allowed(address: str) -> None:
    assert public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_the_table_denies_all_that_the_library_does(address: IPv4Address) -> None:
    if public(address):
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_reserved))


@given(st.ip_addresses(v=6))
def test_so_it_does_of_the_newer_protocol(address: IPv6Address) -> None:
    if public(address):
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_reserved))
        assert address.ipv4_mapped is None
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "::"]))
def test_no_address_of_the_older_protocol_hides_in_the_newer(
    address: IPv4Address, prefix: str
) -> None:
    assert not public(IPv6Address(int(IPv6Address(prefix)) + int(address)))


@given(st.ip_addresses(v=4))
def test_nor_in_one_of_6to4(address: IPv4Address) -> None:
    assert not public(IPv6Address((0x2002 << 112) + (int(address) << 80) + 1))


def check(url: str, *, allow_private: bool = False) -> Target:
    return parse(url, ports=PORTS, allow_private=allow_private)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Hooks.Example.org/a?b=c", Target("https", "hooks.example.org", 443)),
        ("http://hooks.example.org", Target("http", "hooks.example.org", 80)),
        ("https://hooks.example.org:80/", Target("https", "hooks.example.org", 80)),
        ("https://hooks.example.org./", Target("https", "hooks.example.org", 443)),
        ("https://[2606:4700:4700::1111]/", Target("https", "2606:4700:4700::1111", 443)),
        ("https://8.8.8.8/", Target("https", "8.8.8.8", 443)),
    ],
)
def test_an_address_is_taken_apart(url: str, target: Target) -> None:
    assert check(url) == target


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "https://"),
        ("//example.org/", "https://"),
        ("https:///path", "names a host"),
        ("https://exa mple.org/", "visible"),
        ("https://example.org/\n", "visible"),
        ("https://exämple.org/", "ASCII"),
        ("https://user:secret@example.org/", "no user"),
        ("https://user@example.org/", "no user"),
        ("https://example.org\\@evil.org/", "no user"),
        ("https://example.org/#part", "fragment"),
        ("https://example.org:99999/", "no address"),
        ("https://example.org:x/", "no address"),
        ("https://[::1/", "no address"),
        ("https://" + "a" * 2048, "2048"),
    ],
)
def test_what_is_no_address_is_refused_and_says_why(url: str, why: str) -> None:
    for allow_private in (True, False):
        with pytest.raises(BadAddress, match=why):
            check(url, allow_private=allow_private)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://db.localhost/",
        "http://printer.local/",
        "http://vault.internal/",
        "http://intranet/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_what_is_seen_to_be_private_is_refused_unless_it_is_allowed(url: str) -> None:
    with pytest.raises(BadAddress, match="public address"):
        check(url)
    check(url, allow_private=True)


@pytest.mark.parametrize("port", [22, 25, 6379, 5432, 8443])
def test_other_ports_are_refused_unless_private_addresses_are_allowed(port: int) -> None:
    url = f"https://hooks.example.org:{port}/"
    with pytest.raises(BadAddress, match="these ports: 80, 443"):
        check(url)
    assert check(url, allow_private=True).port == port
