from __future__ import annotations

import pytest

from chat4all_actors.edge.http.hosts import Hosts, parse_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("chat.example", ("chat.example", None)),
        ("CHAT.example.:8000", ("chat.example", 8000)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]", ("::1", None)),
        ("[0:0::0:1]:443", ("::1", 443)),
        ("a_b", ("a_b", None)),
    ],
)
def test_a_host_has_one_form(text: str, host: tuple[str, int | None]) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", ":80", "a:", "a:x", "a:99999", "a:1:2", "::1", "[::1", "[x]", "[1.2.3.4]"],
)
def test_what_is_no_address_or_port_is_none(text: str) -> None:
    assert parse_host(text) is None


@pytest.mark.parametrize(
    "text", ["a b", "a/b", "a@b", ".a", "-a", "ä", "a..", "a,b", "a?b", "a#b", "a\\b"]
)
def test_what_is_no_name_is_none(text: str) -> None:
    assert parse_host(text) is None


def test_a_name_is_allowed_for_every_port_or_for_one() -> None:
    hosts = Hosts(["chat.example", "Other.example:8443"])
    assert hosts.allowed(("chat.example", None))
    assert hosts.allowed(("chat.example", 1))
    assert hosts.allowed(("other.example", 8443))
    assert not hosts.allowed(("other.example", None))
    assert not hosts.allowed(("sub.chat.example", None))


def test_without_a_list_every_host_is() -> None:
    assert Hosts([]).allowed(("whatever", None))


def test_a_list_with_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="no host"):
        Hosts(["https://chat.example"])
