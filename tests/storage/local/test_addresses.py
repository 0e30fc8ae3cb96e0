"""What a signed address allows, and that no other one does."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_storage.local.addresses import (
    Addresses,
    Download,
    Forbidden,
    Upload,
    methods_of,
)
from chat4all_storage.ports.objects import Shown
from tests.storage.ports.local_place import sign

if TYPE_CHECKING:
    from chat4all_storage.local.addresses import Right
    from chat4all_storage.ports.objects import Address

PDF = Shown("report.pdf", "application/pdf")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def judge(addresses: Addresses, address: Address) -> Right:
    target = urlsplit(address.url)
    return addresses.judge(target.path, target.query)


def an_upload(addresses: Addresses) -> Address:
    return addresses.upload("key", "upload", 3, 5000, lifetime=60, base="https://x")


def test_an_address_says_what_may_be_done_there_and_how_long() -> None:
    addresses = Addresses(sign, Clock())
    assert judge(addresses, an_upload(addresses)) == Upload("key", "upload", 3, 5000, 1060)
    address = addresses.download("key", PDF, lifetime=60, base="https://x")
    assert judge(addresses, address) == Download("key", PDF, 1060)


def test_an_address_is_below_where_the_client_finds_the_server() -> None:
    addresses = Addresses(sign, Clock())
    for base in ("https://x/chat", "https://x/chat/"):
        address = addresses.download("key", PDF, lifetime=60, base=base)
        assert address.url.startswith("https://x/chat/files/key?")


@given(name=TEXT, mime=TEXT)
def test_any_name_comes_back_as_it_was(name: str, mime: str) -> None:
    addresses = Addresses(sign, Clock())
    address = addresses.download("key", Shown(name, mime), lifetime=60, base="https://x")
    assert address.url.isascii()
    assert judge(addresses, address) == Download("key", Shown(name, mime), 1060)


def test_it_can_be_used_until_its_time_is_over() -> None:
    clock = Clock()
    addresses = Addresses(sign, clock)
    address = an_upload(addresses)
    clock.now += 59
    right = judge(addresses, address)
    assert addresses.remaining(right) == 1
    clock.now += 1
    with pytest.raises(Forbidden, match="expired"):
        judge(addresses, address)
    clock.now += 1
    assert addresses.remaining(right) == 0


def test_nothing_can_be_added_to_it_or_said_twice() -> None:
    addresses = Addresses(sign, Clock())
    target = urlsplit(an_upload(addresses).url)
    for more in ("&more=1", "&size=5000", "&size=1", "&", "&name=x", "&" + "x=1&" * 20):
        with pytest.raises(Forbidden):
            addresses.judge(target.path, target.query + more)


def test_numbers_are_written_in_one_way() -> None:
    addresses = Addresses(sign, Clock())
    target = urlsplit(an_upload(addresses).url)
    for other in ("size=05000", "size=%2B5000", "size=5_000", "size=5000%20", "size=-1", "size=0"):
        with pytest.raises(Forbidden):
            addresses.judge(target.path, target.query.replace("size=5000", other))


def test_the_signature_of_one_is_none_of_another() -> None:
    addresses = Addresses(sign, Clock())

    def signature(address: Address) -> str:
        return address.url.rpartition("signature=")[2]

    said = [
        addresses.download("key", Shown("a", "bc"), lifetime=60, base="x"),
        addresses.download("key", Shown("ab", "c"), lifetime=60, base="x"),
        addresses.download("keya", Shown("b", "c"), lifetime=60, base="x"),
        addresses.download("key", Shown("a", "bc"), lifetime=61, base="x"),
        addresses.upload("key", "a", 1, 11, lifetime=60, base="x"),
        addresses.upload("key", "a", 11, 1, lifetime=60, base="x"),
        addresses.upload("keya", "a", 1, 1, lifetime=60, base="x"),
    ]
    assert len({signature(address) for address in said}) == len(said)


def test_another_key_signs_otherwise() -> None:
    addresses, others = Addresses(sign, Clock()), Addresses(lambda said: sign(said[1:]), Clock())
    with pytest.raises(Forbidden):
        judge(others, an_upload(addresses))


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/files/key", ("GET", "HEAD")),
        ("/files/key/1", ("PUT",)),
        ("/files/", ()),
        ("/files/key/", ()),
        ("/files/key/0", ()),
        ("/files/key/01", ()),
        ("/files/key/1/2", ()),
        ("/files/../key", ()),
        ("/files/..", ()),
        ("/files/.key", ()),
        ("/files/k%65y", ()),
        ("/files/key%2F..", ()),
        ("/files/key\n", ()),
        ("/files/kéy", ()),
        (f"/files/{'k' * 129}", ()),
    ],
)
def test_only_keys_and_numbers_make_a_path(path: str, methods: tuple[str, ...]) -> None:
    assert methods_of(path) == methods
    if not methods:
        with pytest.raises(Forbidden):
            Addresses(sign, Clock()).judge(path, "until=2000&signature=x")
