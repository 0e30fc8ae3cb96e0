"""What every store of contacts does: a person is found again, and a link needs its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.audit import Actor

from .builders import ACCOUNT, contact, delivery, link

if TYPE_CHECKING:
    from .builders import ChannelPlace

HASH = b"of the code"
SOON = 1_000
ALICE = Actor("user:alice", "192.0.2.1", bytes(16))


async def test_a_person_is_met_once_and_known_by_its_address(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    ana = contact(name="Ana", handle="ana", wrote_at=5, last_message="m5")
    assert await contacts.meet(ana) == ana
    assert await place.other.contacts.meet(contact()) == ana
    assert await contacts.contacts([ana.address, "telegram:nobody"]) == {ana.address: ana}
    assert await contacts.by_id(ACCOUNT, ["7"]) == ana
    assert await contacts.by_id("instagram", ["7"]) is None


async def test_what_is_told_later_counts_but_an_older_message_does_not(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.meet(contact(name="Ana", wrote_at=5, last_message="m5"))
    await contacts.meet(contact(handle="ana", wrote_at=3, last_message="m3"))
    met = await contacts.meet(contact(name="Ana Silva"))
    assert met == contact(name="Ana Silva", handle="ana", wrote_at=5, last_message="m5")
    met = await contacts.meet(contact(wrote_at=6, last_message="m6"))
    assert (met.wrote_at, met.last_message) == (6, "m6")


async def test_a_person_is_known_by_each_of_its_ids(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    ana = await contacts.meet(contact("7"), ["bsuid.7"])
    assert await contacts.by_id(ACCOUNT, ["unheard of", "bsuid.7"]) == ana
    assert await contacts.meet(contact("bsuid.7"), ["number"]) == ana
    assert await contacts.by_id(ACCOUNT, ["number"]) == ana


async def test_a_name_that_somebody_else_has_by_now_is_not_given_twice(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    first = await contacts.meet(contact("7", "instagram:@ana"))
    second = await contacts.meet(contact("8", "instagram:@ana"))
    assert (first.address, second.address) == ("instagram:@ana", f"{ACCOUNT}:8")


async def test_a_person_who_is_met_many_times_at_once_is_one(place: ChannelPlace) -> None:
    found = []

    async def meet(number: int) -> None:
        stores = place.stores if number % 2 else place.other
        met = await stores.contacts.meet(contact("7", f"{ACCOUNT}:{number}"), ["same"])
        found.append(met.address)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(meet, number)
    assert len(set(found)) == 1


async def test_where_the_next_message_belongs_is_remembered(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    ana = await contacts.meet(contact())
    assert ana.conversation is None
    conversation = new_id()
    await contacts.note_conversations([(ACCOUNT, "nobody", new_id())])
    await contacts.note_conversations([(ACCOUNT, ana.chat, conversation)])
    met = await contacts.meet(contact(wrote_at=1, last_message="m1"))
    assert met.conversation == conversation


async def test_whether_a_person_takes_messages_is_remembered(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.meet(contact(), ["alias"])
    await contacts.note_reachable(ACCOUNT, "alias", reachable=False)
    found = await contacts.by_id(ACCOUNT, ["7"])
    assert found is not None
    assert not found.reachable
    await contacts.note_reachable(ACCOUNT, "7", reachable=True)
    found = await contacts.by_id(ACCOUNT, ["7"])
    assert found is not None
    assert found.reachable


async def test_a_chat_that_has_moved_takes_along_who_is_linked_and_what_waits(
    place: ChannelPlace,
) -> None:
    contacts, new = place.stores.contacts, delivery("7")
    ana = await contacts.meet(contact("7"))
    await contacts.ask_link(link(chat="7"), code_hash=HASH, expires_at=SOON)
    await place.stores.deliveries.add([new])
    await contacts.note_moved(ACCOUNT, "7", "-100")
    for id_ in ("7", "-100"):
        found = await contacts.by_id(ACCOUNT, [id_])
        assert found is not None
        assert (found.address, found.chat) == (ana.address, "-100")
    assert [each.chat for each in await contacts.links_of("alice")] == ["-100"]
    assert [each.chat for each in await place.due()] == ["-100"]


async def test_a_link_counts_when_its_code_was_told(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    assert await contacts.links(["alice"]) == []
    assert await contacts.linked(ACCOUNT, link().chat) is None
    assert await contacts.links_of("alice") == [link()]
    assert await contacts.verify_link("alice", ACCOUNT, b"wrong", ALICE, now=0, tries=3) is None
    verified = await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=5, tries=3)
    assert verified is not None
    assert verified.verified_at == 5
    assert await place.other.contacts.links(["alice", "bob"]) == [verified]
    assert await place.other.contacts.linked(ACCOUNT, verified.chat) == "alice"
    assert await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=6, tries=3) is None


async def test_a_code_is_tried_a_few_times_and_not_after_its_time(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    for _ in range(3):
        assert await contacts.verify_link("alice", ACCOUNT, b"wrong", ALICE, now=0, tries=3) is None
    assert await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=0, tries=3) is None
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    assert await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=SOON, tries=3) is None
    assert (
        await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=SOON - 1, tries=3) is not None
    )


async def test_asking_again_ends_the_link_that_stood(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=0, tries=3)
    await contacts.ask_link(link(chat="8"), code_hash=b"another", expires_at=SOON)
    assert await contacts.links(["alice"]) == []
    assert [each.chat for each in await contacts.links_of("alice")] == ["8"]


async def test_somebody_on_a_channel_is_one_user(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    for name in ("alice", "bob"):
        await contacts.ask_link(link(name), code_hash=HASH, expires_at=SOON)
        assert await contacts.verify_link(name, ACCOUNT, HASH, ALICE, now=0, tries=3) is not None
    assert [each.username for each in await contacts.links(["alice", "bob"])] == ["bob"]
    assert await contacts.links_of("alice") == []


async def test_a_link_is_taken_away(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    assert await contacts.unlink("alice", ACCOUNT, ALICE)
    assert not await contacts.unlink("alice", ACCOUNT, ALICE)
    assert await contacts.links_of("alice") == []


async def test_the_audit_log_tells_of_links_that_count_and_end(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    await contacts.ask_link(link(), code_hash=HASH, expires_at=SOON)
    await contacts.verify_link("alice", ACCOUNT, b"wrong", ALICE, now=0, tries=3)
    await contacts.verify_link("alice", ACCOUNT, HASH, ALICE, now=0, tries=3)
    await contacts.unlink("alice", ACCOUNT, ALICE)
    await contacts.unlink("alice", ACCOUNT, ALICE)
    told = await place.audit.entries(ALICE.name)
    acts = [(entry.act, entry.actor, entry.details) for entry in reversed(told)]
    assert acts == [
        ("channel.linked", ALICE.name, {"channel": ACCOUNT}),
        ("channel.unlinked", ALICE.name, {"channel": ACCOUNT}),
    ]


async def test_of_an_erased_user_no_link_is_left(place: ChannelPlace) -> None:
    contacts = place.stores.contacts
    for name, chat in (("alice", "7"), ("bob", "8")):
        await contacts.ask_link(link(name, chat), code_hash=HASH, expires_at=SOON)
        await contacts.verify_link(name, ACCOUNT, HASH, ALICE, now=0, tries=3)
    await contacts.unlink_all("alice")
    await contacts.unlink_all("alice")
    assert [each.username for each in await contacts.links(["alice", "bob"])] == ["bob"]
    assert await contacts.links_of("alice") == []
