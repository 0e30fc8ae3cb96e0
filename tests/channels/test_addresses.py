"""Everybody on a channel is written in one way, and whoever writes another is told which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.channels.addresses import Address, AddressError, address_of, parse
from chat4all_connectors.whatsapp import addresses as whatsapp

identities = st.text("abcXYZ0159+@._=~-", min_size=1, max_size=128)


def test_an_address_is_a_channel_and_who_it_is_there() -> None:
    address = parse("telegram:12345")
    assert (address.account, address.channel, address.identity) == ("telegram", "telegram", "12345")


def test_a_further_account_is_named_between_them() -> None:
    address = parse("telegram:support:12345")
    assert (address.account, address.channel) == ("telegram:support", "telegram")
    assert address.identity == "12345"


@given(identities)
def test_an_address_is_read_as_it_was_written(identity: str) -> None:
    for account in ("loopback", "loopback:second"):
        assert parse(str(Address(account, identity))) == Address(account, identity)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("whatsapp:+5511999998888", "whatsapp:+5511999998888"),
        ("whatsapp:5511999998888", "whatsapp:+5511999998888"),
        ("whatsapp:+55 (11) 99999-8888", "whatsapp:+5511999998888"),
        ("whatsapp:sales:+55.11.99999.8888", "whatsapp:sales:+5511999998888"),
        ("whatsapp:US.13491208655302741918", "whatsapp:US.13491208655302741918"),
        ("whatsapp:Y2FwaV9ncm91cA==", "whatsapp:Y2FwaV9ncm91cA=="),
        ("instagram:@Ana.Silva_1", "instagram:@ana.silva_1"),
        ("instagram:Ana", "instagram:@ana"),
        ("instagram:17841400008460056", "instagram:17841400008460056"),
        ("telegram:12345", "telegram:12345"),
        ("telegram:-1001234567890", "telegram:-1001234567890"),
        ("messenger:24012345678901234", "messenger:24012345678901234"),
        ("loopback:Ana", "loopback:Ana"),
    ],
)
def test_each_way_of_writing_somebody_comes_to_one(written: str, form: str) -> None:
    assert str(parse(written)) == form
    assert str(parse(form)) == form


@pytest.mark.parametrize(
    "text", ["ana", "", ":", ":12345", "Telegram:12345", "a:b:c:d", "tele gram:1", "telegram::1"]
)
def test_what_names_no_channel_is_told_how_an_address_looks(text: str) -> None:
    with pytest.raises(AddressError, match="channel:identity or channel:account:identity"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("loopback:", "1 to 128 letters"),
        ("loopback:" + "a" * 129, "1 to 128 letters"),
        ("loopback:a b", "1 to 128 letters"),
        ("loopback:a\n", "1 to 128 letters"),
        ("whatsapp:", "1 to 128 letters"),
        ("whatsapp:+1234", "5 to 20 digits"),
        ("whatsapp:+" + "1" * 21, "5 to 20 digits"),
        ("whatsapp:+0155511999998888", "5 to 20 digits"),
        ("whatsapp:+55 11 CALL-ME", "5 to 20 digits"),
        ("whatsapp:+٥٥١١٩٩٩٩٩", "5 to 20 digits"),
        ("instagram:", "@ and at most 30"),
        ("instagram:@", "@ and at most 30"),
        ("instagram:@" + "a" * 31, "@ and at most 30"),
        ("instagram:@ana-silva", "@ and at most 30"),
        ("telegram:", "is a number"),
        ("telegram:@ana", "User names do not reach people"),
        ("telegram:007", "is a number"),
        ("telegram:+5511999998888", "is a number"),
        ("telegram:" + "1" * 17, "is a number"),
        ("messenger:ana", "the number by which the page knows them"),
        ("messenger:-1", "the number by which the page knows them"),
    ],
)
def test_who_can_not_be_anybody_on_the_channel_is_refused_in_its_words(
    text: str, what: str
) -> None:
    with pytest.raises(AddressError, match=what):
        parse(text)


@given(st.text("0123456789+-. ()ABCUS@_=~", max_size=30))
def test_numbers_on_whatsapp_are_as_its_connector_has_them(identity: str) -> None:
    try:
        form = parse(f"whatsapp:{identity}").identity
    except AddressError:
        return
    assert whatsapp.normal(form) == form
    if form.startswith("+"):
        assert whatsapp.kind_of(form) == "phone"


# --- people of whom a provider tells


@pytest.mark.parametrize(
    ("account", "id_", "handle", "form"),
    [
        ("telegram", "12345", "ana", "telegram:12345"),
        ("telegram:support", "-100", None, "telegram:support:-100"),
        ("whatsapp", "+5511999998888", "ana", "whatsapp:+5511999998888"),
        ("instagram", "17841400008460056", "Ana", "instagram:@ana"),
        ("instagram:shop", "17841400008460056", "ana", "instagram:shop:@ana"),
        ("instagram:shop", "17841400008460056", None, "instagram:shop:17841400008460056"),
        ("instagram", "17841400008460056", "no name", "instagram:17841400008460056"),
        ("loopback", "ana/é", None, "loopback:ana~2f~c3~a9"),
    ],
)
def test_who_is_told_of_is_written_as_people_would(
    account: str, id_: str, handle: str | None, form: str
) -> None:
    address = address_of(account, id_, handle)
    assert str(address) == form
    assert parse(form) == address


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@given(ids, ids)
def test_any_ids_make_addresses_and_two_make_two(one: str, other: str) -> None:
    first, second = address_of("loopback", one), address_of("loopback", other)
    assert parse(str(first)) == first
    assert (first == second) == (one == other)


@pytest.mark.parametrize("id_", ["", "a" * 129, "é" * 22])
def test_an_id_that_makes_no_address_is_refused(id_: str) -> None:
    with pytest.raises(AddressError, match="1 to 128"):
        address_of("loopback", id_)
