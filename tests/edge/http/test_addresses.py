from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.edge.http.addresses import Proxies, normal_address, parse_address
from chat4all_actors.edge.http.head import RequestHead

PROXY = "10.0.0.7"
TRUSTED = ["10.0.0.0/8", "fd00::/8"]
ADDRESSES = st.ip_addresses().map(str)


def client(
    *fields: tuple[str, str],
    peer: str = PROXY,
    forwarded: bool = False,
    trusted: list[str] = TRUSTED,
) -> tuple[str, str]:
    headers = tuple((name.encode(), value.encode("latin-1")) for name, value in fields)
    head = RequestHead("GET", "/", headers, "1.1")
    return Proxies(trusted, forwarded=forwarded).client(head, peer, "http")


def hops(*values: str, peer: str = PROXY) -> str:
    return client(*(("x-forwarded-for", value) for value in values), peer=peer)[0]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:443 ", "192.0.2.1"),
        ("[2001:DB8:0:0::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert normal_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "_hidden", "192.0.2", "192.0.2.1.5", "0177.0.0.1", "[::1", "1.2.3.4:5:6"],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None
    assert normal_address(text) == text


@given(st.text(max_size=60))
def test_whatever_is_sent_is_an_address_or_not(text: str) -> None:
    found = parse_address(text)
    if found is not None:
        assert parse_address(str(found)) == found


def test_nobody_is_believed_who_is_not_trusted() -> None:
    field = ("x-forwarded-for", "192.0.2.1")
    assert client(field, peer="203.0.113.5")[0] == "203.0.113.5"
    assert client(field, trusted=[])[0] == PROXY
    assert client(("x-forwarded-proto", "https"), peer="203.0.113.5")[1] == "http"


def test_the_client_is_the_last_hop_that_is_not_trusted() -> None:
    assert hops("6.6.6.6, 192.0.2.1") == "192.0.2.1"
    assert hops("6.6.6.6, 192.0.2.1, 10.1.1.1") == "192.0.2.1"
    assert hops("6.6.6.6", "192.0.2.1", "10.1.1.1, fd00::1") == "192.0.2.1"
    assert hops("192.0.2.1", peer="::ffff:10.0.0.1") == "192.0.2.1"


def test_without_another_hop_it_is_the_proxy_itself() -> None:
    assert hops() == PROXY
    assert hops("10.1.1.1, 10.2.2.2") == "10.1.1.1"


@pytest.mark.parametrize("junk", ["unknown", "", "x" * 500, "192.0.2.1 192.0.2.2"])
def test_what_stands_before_something_unknown_does_not_count(junk: str) -> None:
    found = hops(f"6.6.6.6, {junk}, 10.1.1.1")
    # An empty member is none at all (RFC 9110 section 5.6.1).
    assert found == ("10.1.1.1" if junk else "6.6.6.6")


@given(st.lists(ADDRESSES, max_size=5), ADDRESSES.filter(lambda text: not _trusted(text)))
def test_nothing_that_a_client_writes_hides_it(written: list[str], real: str) -> None:
    assert hops(", ".join([*written, real])) == normal_address(real)


def _trusted(text: str) -> bool:
    address = ipaddress.ip_address(normal_address(text))
    return any(address in ipaddress.ip_network(network) for network in TRUSTED)


def test_the_scheme_is_what_the_nearest_proxy_tells() -> None:
    assert client(("x-forwarded-proto", "http, https"))[1] == "https"
    assert client(("x-forwarded-proto", "HTTPS"))[1] == "https"
    assert client(("x-forwarded-proto", "ftp"))[1] == "http"


# RFC 7239


@pytest.mark.parametrize(
    ("values", "address", "scheme"),
    [
        (["for=192.0.2.1"], "192.0.2.1", "http"),
        (['For="[2001:db8::1]:4711";proto=https;by=10.0.0.1'], "2001:db8::1", "https"),
        (["for=6.6.6.6, for=192.0.2.1;host=a, for=10.1.1.1"], "192.0.2.1", "http"),
        (["for=6.6.6.6", "for=192.0.2.1"], "192.0.2.1", "http"),
        (['for="6.6.6.6, for=7.7.7.7"'], PROXY, "http"),
        (["for=unknown"], PROXY, "http"),
        (["proto=https"], PROXY, "https"),
        (["for=6.6.6.6, garbage"], PROXY, "http"),
        (['for="192.0.2.1'], PROXY, "http"),
        ([], PROXY, "http"),
    ],
)
def test_proxies_may_tell_it_in_the_standard_form(
    values: list[str], address: str, scheme: str
) -> None:
    fields = [("forwarded", value) for value in values]
    assert client(*fields, forwarded=True) == (address, scheme)


def test_only_the_form_that_is_expected_is_believed() -> None:
    both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "192.0.2.1")]
    assert client(*both)[0] == "192.0.2.1"
    assert client(*both, forwarded=True)[0] == "6.6.6.6"


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_stands_there_an_address_is_found(text: str) -> None:
    assert parse_address(client(("forwarded", text), forwarded=True)[0]) is not None
