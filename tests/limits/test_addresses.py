from __future__ import annotations

import pytest

from chat4all_actors.limits.addresses import AddressCounts, address_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("a socket's path", "a socket's path"),
        ("127.1", "127.1"),
    ],
)
def test_an_address_counts_as_whom_it_was_given_to(address: str, key: str) -> None:
    assert address_key(address) == key


def test_connections_of_an_address_are_counted_up_to_the_limit() -> None:
    counts = AddressCounts(2)
    assert counts.enter("2001:db8::1")
    assert counts.enter("2001:db8::2")
    assert not counts.enter("2001:db8::3")
    assert counts.enter("192.0.2.7")
    counts.leave("2001:db8::2")
    assert counts.enter("2001:db8::3")


def test_nothing_is_kept_of_addresses_without_connections() -> None:
    counts = AddressCounts(2)
    counts.enter("192.0.2.7")
    counts.leave("192.0.2.7")
    assert len(counts) == 0


def test_a_limit_of_0_is_unlimited_and_keeps_nothing() -> None:
    counts = AddressCounts(0)
    assert all(counts.enter("192.0.2.7") for _ in range(10))
    assert len(counts) == 0
    counts.leave("192.0.2.7")


def test_all_addresses_together_may_be_limited_too() -> None:
    counts = AddressCounts(2, 3)
    assert counts.enter("192.0.2.1")
    assert counts.enter("192.0.2.1")
    assert not counts.enter("192.0.2.1")
    assert counts.enter("192.0.2.2")
    assert not counts.enter("192.0.2.3")
    counts.leave("192.0.2.1")
    assert counts.enter("192.0.2.3")
