"""Who can be written to by an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.channels.account import Account
from chat4all_actors.channels.addressees import Addressees
from chat4all_actors.conversation.outside import Refusal
from chat4all_connectors.loopback.connector import Loopback
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.ports.contacts import Contact

from .scene import wall_clock_ms

if TYPE_CHECKING:
    from chat4all_storage.ports.contacts import Contacts

FIRST = "loopback"
STRICT = "loopback:strict"
"""One that writes to nobody first."""


@pytest.fixture
def contacts() -> Contacts:
    return memory_channels(wall_clock_ms).contacts


@pytest.fixture
def addressees(contacts: Contacts) -> Addressees:
    open_, strict = Loopback(), Loopback(LoopbackSettings(window=60.0))
    accounts = [Account(name=FIRST, connector=open_), Account(name=STRICT, connector=strict)]
    return Addressees(contacts, {each.name: each for each in accounts})


async def refused(addressees: Addressees, address: str) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await addressees.canonical([address], "members")
    return refusal.value.code, refusal.value.field


async def test_the_accounts_are_those_that_are_set_up(addressees: Addressees) -> None:
    assert set(addressees.accounts) == {FIRST, STRICT}


async def test_a_known_person_has_the_name_they_are_known_by(
    addressees: Addressees, contacts: Contacts
) -> None:
    known = Contact(address="loopback:bea", account=FIRST, chat="bea")
    await contacts.meet(known, ["other id"])
    asked = ["loopback:bea", "loopback:other~20id"]
    assert await addressees.canonical(asked, "members") == dict.fromkeys(asked, "loopback:bea")


async def test_somebody_new_is_noted_where_we_may_write_first(
    addressees: Addressees, contacts: Contacts
) -> None:
    found = await addressees.canonical(["loopback:new~20one"], "members")
    assert found == {"loopback:new~20one": "loopback:new~20one"}
    contact = await contacts.by_id(FIRST, ["new one"])
    assert contact is not None
    assert (contact.address, contact.chat) == ("loopback:new~20one", "new one")


async def test_somebody_new_is_refused_where_they_have_to_write_first(
    addressees: Addressees, contacts: Contacts
) -> None:
    assert await refused(addressees, f"{STRICT}:new") == ("CHANNEL_UNAVAILABLE", "members")
    assert await contacts.by_id(STRICT, ["new"]) is None


async def test_who_takes_no_messages_is_refused(addressees: Addressees, contacts: Contacts) -> None:
    await contacts.meet(Contact(address="loopback:bea", account=FIRST, chat="bea"))
    await contacts.note_reachable(FIRST, "bea", reachable=False)
    assert await refused(addressees, "loopback:bea") == ("CHANNEL_UNAVAILABLE", "members")


@pytest.mark.parametrize("address", ["telegram:12345", "loopback:third:bea", "whatsapp:12"])
async def test_a_channel_that_is_not_set_up_is_refused(
    addressees: Addressees, address: str
) -> None:
    assert await refused(addressees, address) == ("CHANNEL_UNAVAILABLE", "members")


@pytest.mark.parametrize("address", ["loopback:", "loopback:a b", "Loopback:bea", "bea"])
async def test_what_is_no_address_is_refused(addressees: Addressees, address: str) -> None:
    assert await refused(addressees, address) == ("INVALID_PAYLOAD", "members")
