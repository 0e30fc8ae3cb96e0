"""Who has written, and where it belongs: what the store keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from chat4all_actors.channels.account import Account
from chat4all_actors.channels.placing import Place, Placing, Unworkable, id_of
from chat4all_connectors.errors import Transient
from chat4all_connectors.incoming import Contact, Received
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.deliveries import Sent

from .world import ACCOUNT, BEA, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_connectors.base import Connector

    from .world import World

BEA_THERE = Contact(id="bea", name="Bea", handle="bea1", aliases=("b-2",))


def placing(there: World, *inbox: str) -> Placing:
    account = Account(name=ACCOUNT, connector=there.loopback, inbox=inbox)
    return Placing(account, there.stores, there.node.conversations)


def said(chat: str = "bea", sender: Contact = BEA_THERE, group: str | None = None) -> Received:
    return Received(key="k", chat=chat, sender=sender, message="m", at=7, group=group)


def test_ids_follow_from_the_key_and_differ() -> None:
    assert id_of("a", "k") == id_of("a", "k")
    assert len({id_of("a", "k"), id_of("b", "k"), id_of("a", "l"), id_of("a", "k", "1")}) == 4


async def test_a_person_is_met_by_all_their_ids(autojump_clock: MockClock) -> None:
    async with world() as there:
        author = await placing(there).author("bea", BEA_THERE, said())
        assert (author.member, author.name) == (BEA, None)
        contact = author.contact
        assert (contact.name, contact.handle) == ("Bea", "bea1")
        assert (contact.wrote_at, contact.last_message) == (7, "m")
        again = await placing(there).author("b-2", Contact(id="b-2"))
        assert again.member == BEA
        assert again.contact.wrote_at == 7


async def test_in_a_group_the_group_is_the_member_and_the_person_named(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        author = await placing(there).author("club", BEA_THERE, said("club", group="The club"))
        assert (author.member, author.name) == ("loopback:club", "Bea")
        assert author.contact.name == "The club"
        quiet = await placing(there).author("club", Contact(id="x7"))
        assert quiet.name == "x7"


async def test_ids_that_are_no_address_are_told(autojump_clock: MockClock) -> None:
    async with world() as there:
        with pytest.raises(Unworkable):
            await placing(there).author("x" * 200, Contact(id="x" * 200))


async def test_places_are_the_quoted_one_and_then_the_last(autojump_clock: MockClock) -> None:
    async with world() as there:
        quoted, last = new_id(), new_id()
        them = placing(there)
        author = await them.author("bea", BEA_THERE)
        assert await them.known(author, "m1") == []
        message = Sent(ACCOUNT, "bea", "m1", quoted, 3, BEA)
        await there.stores.deliveries.note_messages([message])
        await there.stores.contacts.note_conversations([(ACCOUNT, "bea", last)])
        author = await them.author("bea", BEA_THERE)
        assert await them.known(author, "m1") == [Place(quoted, 3), Place(last)]
        assert await them.known(author, None) == [Place(last)]
        await there.stores.contacts.note_conversations([(ACCOUNT, "bea", quoted)])
        author = await them.author("bea", BEA_THERE)
        assert await them.known(author, "m1") == [Place(quoted, 3)]


async def test_the_inbox_of_a_person_is_always_the_same(autojump_clock: MockClock) -> None:
    async with world() as there:
        alone, several = placing(there, "ana"), placing(there, "ana", "bob")
        author = await alone.author("bea", BEA_THERE)
        assert await alone.inbox(author) == await alone.inbox(author)
        shared = await several.inbox(author)
        other = await several.author("bea", Contact(id="bea", name="Another name"))
        assert await several.inbox(other) == shared


async def test_without_an_inbox_it_is_said_what_is_missing(autojump_clock: MockClock) -> None:
    async with world() as there:
        author = await placing(there).author("bea", BEA_THERE)
        with pytest.raises(Unworkable, match="inbox"):
            await placing(there).inbox(author)
        with pytest.raises(Unworkable, match="no such user: zoe"):
            await placing(there, "zoe").inbox(author)


async def test_who_is_not_named_is_asked_for_once(autojump_clock: MockClock) -> None:
    async with world() as there:
        asked: list[str] = []

        class Telling:
            capabilities = there.loopback.capabilities

            async def profile(self, contact: str) -> Contact | None:
                asked.append(contact)
                if contact == "away":
                    raise Transient("away")
                return None if contact == "shy" else Contact(id=contact, name="Cem", handle="c.1")

        account = Account(name="instagram", connector=cast("Connector", Telling()))
        them = Placing(account, there.stores, there.node.conversations)
        for _ in range(2):
            author = await them.author("77", Contact(id="77"), said("77", Contact(id="77")))
            assert (author.member, author.contact.name) == ("instagram:@c.1", "Cem")
        assert asked == ["77"]
        for id_ in ("shy", "away"):
            author = await them.author(id_, Contact(id=id_), said(id_, Contact(id=id_)))
            assert (author.member, author.contact.name) == (f"instagram:{id_}", None)
        await them.author("88", Contact(id="88"))  # only who writes is
        assert asked == ["77", "shy", "away"]
