"""Reading back: pages, watermarks, members, and who is composing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from chat4all_protocol.frames import (
    Composing,
    Conv,
    ConvState,
    Delete,
    Member,
    Msg,
    React,
    Read,
    Receipt,
    Recv,
    Sent,
    Typing,
)
from chat4all_protocol.ids import new_id
from tests.life.devices import Device, People, people, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import Page, Ready
    from tests.life.conftest import Names
    from tests.life.processes import ServerProcess


async def chatting(here: People, pair: Sequence[str], count: int = 0) -> tuple[Device, Device, str]:
    """Two people in a conversation with so many messages of the first."""
    ana, bob = pair
    anas, bobs = await here.connect(ana), await here.connect(bob)
    conv = (await anas.create("private", [bob])).conv
    await bobs.expect(Conv)
    for number in range(1, count + 1):
        await anas.send(anas.message(conv, f"{number}"))
    for _ in range(count):
        await anas.receive()
        await bobs.expect(Msg)
    return anas, bobs, conv


def seqs(page: Page) -> list[int]:
    return [item.seq for item in page.items]


def state(ready: Ready, conv: str) -> ConvState:
    (found,) = (one for one in ready.convs if one.conv == conv)
    return found


async def receipts(device: Device, until: tuple[int, int]) -> list[tuple[int, int]]:
    """The `recv` and `read` of receipts, up to one that says `until`."""
    found: list[tuple[int, int]] = []
    while not found or found[-1] != until:
        receipt = await device.expect(Receipt)
        found.append((receipt.recv, receipt.read))
    return found


# Reactions


async def test_a_reaction_reaches_everybody_and_stays_in_the_history(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs, conv = await chatting(here, (ana, bob), count=1)
        put = React(bobs.next_rid(), conv, new_id(), 1, "👍", on=True)
        assert (await bobs.ask(put, Sent)).seq == 2
        seen = await anas.expect(Msg)
        assert (seen.seq, seen.kind, seen.from_, seen.target) == (2, "react", bob, 1)
        assert (seen.body, seen.meta) == (None, {"emoji": "👍", "on": True})
        again = await bobs.ask(replace(put, rid=bobs.next_rid()), Sent)
        assert (again.seq, again.dup) == (2, True)
        gone = Delete(anas.next_rid(), conv, new_id(), 1)
        await anas.ask(gone, Sent)
        await bobs.expect(Msg)
        refused = await bobs.refused(replace(put, rid=bobs.next_rid(), id=new_id()))
        assert (refused.code, refused.field) == ("CONFLICT", "target")
        items = (await anas.fetch(conv)).items
        assert [(item.kind, item.meta) for item in items[1:]] == [
            ("react", seen.meta),
            ("delete", None),
        ]


# Pages


async def test_a_fetch_gives_exactly_the_range_asked_for(
    server: ServerProcess, names: Names
) -> None:
    async with people(server) as here:
        anas, bobs, conv = await chatting(here, names(2), count=130)
        for reader in (anas, bobs):
            for asked, expected, more in (
                ({}, range(31, 131), True),
                ({"limit": 10}, range(121, 131), True),
                ({"after": 0}, range(1, 101), True),
                ({"after": 0, "limit": 3}, range(1, 4), True),
                ({"after": 30}, range(31, 131), False),
                ({"after": 127, "limit": 3}, range(128, 131), False),
                ({"after": 130}, range(0), False),
                ({"after": 9999}, range(0), False),
                ({"before": 131}, range(31, 131), True),
                ({"before": 101}, range(1, 101), False),
                ({"before": 4, "limit": 2}, range(2, 4), True),
                ({"before": 1}, range(0), False),
                ({"before": 9999, "limit": 1}, range(130, 131), True),
            ):
                page = await reader.fetch(conv, **asked)
                assert (seqs(page), page.more) == (list(expected), more), asked


async def test_paging_forth_and_back_meets_every_message_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        _, bobs, conv = await chatting(here, (ana, bob), count=75)
        forth: list[Msg] = []
        while (page := await bobs.fetch(conv, after=len(forth), limit=20)).more:
            forth += page.items
        forth += page.items
        back: list[Msg] = []
        before = 76
        while (page := await bobs.fetch(conv, before=before, limit=20)).more:
            back = page.items + back
            before = back[0].seq
        back = page.items + back
        assert texts(forth) == [(number, ana, f"{number}") for number in range(1, 76)]
        assert back == forth


async def test_a_page_of_large_messages_is_cut_and_says_that_there_is_more(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, _, conv = await chatting(here, (ana, bob))
        for number in range(20):
            await anas.say(conv, chr(0x1F600 + number) * 10_000)
        collected: list[Msg] = []
        pages = 0
        more = True
        while more:
            page = await anas.fetch(conv, after=len(collected))
            collected += page.items
            more = page.more
            pages += 1
        assert pages > 1
        expected = [(number + 1, ana, chr(0x1F600 + number) * 10_000) for number in range(20)]
        assert texts(collected) == expected
        newest = await anas.fetch(conv)
        assert texts(newest.items) == expected[-len(newest.items) :]
        assert newest.more


async def test_an_empty_conversation_has_an_empty_page(server: ServerProcess, names: Names) -> None:
    async with people(server) as here:
        anas, _, conv = await chatting(here, names(2))
        for page in (await anas.fetch(conv), await anas.fetch(conv, after=0)):
            assert (page.items, page.more) == ([], False)


# Members and watermarks


async def test_info_tells_the_members_and_their_watermarks(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = (await anas.create("group", [bob, carla], "us")).conv
        await bobs.expect(Conv)
        for text in ("one", "two", "three"):
            await anas.say(conv, text)
            await bobs.expect(Msg)
        await bobs.send(Recv(conv, 3))
        await receipts(anas, until=(3, 0))
        await bobs.send(Read(conv, 2))
        await receipts(anas, until=(3, 2))
        info = await anas.info(conv)
        assert (info.title, info.head, info.type) == ("us", 3, "group")
        assert info.details is not None
        assert info.details.keys() == set(info.members) == {ana, bob, carla}
        assert info.details[bob] == Member(role="member", recv=3, read=2)
        assert info.details[carla] == Member(role="member", recv=0, read=0)
        assert info.details[ana].role == "owner"


async def test_read_implies_recv_and_watermarks_only_grow(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs, conv = await chatting(here, (ana, bob), count=5)
        await bobs.send(Read(conv, 3))
        assert await receipts(anas, until=(3, 3)) == [(3, 3)]
        await bobs.send(Read(conv, 1))
        await bobs.send(Recv(conv, 2))
        await bobs.send(Recv(conv, 999))
        # Beyond the head is the head; what is older changes nothing.
        assert (await receipts(anas, until=(5, 3)))[-1] == (5, 3)
        assert (await bobs.info(conv)).details == (await anas.info(conv)).details
        details = (await anas.info(conv)).details
        assert details is not None
        assert details[bob] == Member(role="member", recv=5, read=3)


async def test_receipts_go_to_everybody_but_the_device_that_read(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, phone, conv = await chatting(here, (ana, bob), count=1)
        tablet = await here.connect(bob, "tablet")
        await phone.send(Read(conv, 1))
        for device in (anas, tablet):
            receipt = await device.expect(Receipt)
            assert (receipt.conv, receipt.user, receipt.read) == (conv, bob, 1)
        assert await phone.seen() == []


async def test_unread_and_watermarks_come_back_with_the_next_connect(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs, conv = await chatting(here, (ana, bob), count=7)
        await bobs.say(conv, "of my own")
        await anas.expect(Msg)
        await bobs.send(Recv(conv, 6))
        await receipts(anas, until=(6, 0))
        await bobs.send(Read(conv, 4))
        await receipts(anas, until=(6, 4))
        await bobs.close()
        _, ready = await here.ready(bob)
        expected = ConvState(conv=conv, type="private", head=8, read=4, recv=6, unread=3, peer=ana)
        assert state(ready, conv) == expected
        # The watermarks are the user's: another device has the same.
        tablet, ready = await here.ready(bob, "tablet")
        assert state(ready, conv) == expected
        await tablet.send(Read(conv, 8))
        await receipts(anas, until=(8, 8))
        _, ready = await here.ready(bob, "desk")
        assert state(ready, conv).unread == 0


# Composing


async def test_typing_reaches_the_others_and_is_not_stored(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        phone, tablet = await here.connect(ana, "phone"), await here.connect(ana, "tablet")
        bobs, carlas = await here.connect(bob), await here.connect(carla)
        conv = (await phone.create("group", [bob, carla])).conv
        for device in (tablet, bobs, carlas):
            await device.expect(Conv)
        await phone.send(Typing(conv, "voice"))
        for device in (bobs, carlas):
            typing = await device.expect(Composing)
            assert (typing.conv, typing.user, typing.kind) == (conv, ana, "voice")
            assert typing.ttl > 0
        await bobs.send(Typing(conv))
        assert (await phone.expect(Composing)).kind == "text"
        assert (await tablet.expect(Composing)).user == bob
        assert (await carlas.expect(Composing)).user == bob
        assert await bobs.seen() == []
        assert (await phone.fetch(conv)).items == []


async def test_typing_that_is_repeated_in_a_hurry_is_told_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs, conv = await chatting(here, (ana, bob))
        began = trio.current_time()
        for _ in range(50):
            await anas.send(Typing(conv))
        await anas.say(conv, "done")
        seconds = int(trio.current_time() - began) + 1
        frames = []
        while not isinstance(frame := await bobs.receive(), Msg):
            frames.append(frame)
        assert 1 <= len(frames) <= seconds
