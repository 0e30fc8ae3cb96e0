"""Coming back: what was missed is replayed or announced, once and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import Conv, Create, Gap, Msg, Ready
from chat4all_protocol.ids import new_id
from tests.life.devices import Device, People, people, texts

if TYPE_CHECKING:
    from tests.life.conftest import Names
    from tests.life.processes import ServerProcess


async def post(device: Device, conv: str, texts_: list[str]) -> None:
    """Send all, and wait for every answer."""
    for text in texts_:
        await device.send(device.message(conv, text))
    for _ in texts_:
        await device.receive()


async def begun(here: People, ana: str, bob: str, count: int) -> tuple[Device, str]:
    """A conversation of two with messages `1`..`count` of the first."""
    anas = await here.connect(ana)
    conv = (await anas.create("private", [bob])).conv
    await post(anas, conv, [f"{number}" for number in range(1, count + 1)])
    return anas, conv


async def test_what_was_missed_is_replayed_after_ready(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, conv = await begun(here, ana, bob, 20)
        bobs, ready = await here.ready(bob, cursors={conv: 12})
        assert [(one.conv, one.head) for one in ready.convs] == [(conv, 20)]
        missed = await bobs.seen()
        assert texts(missed) == [(number, ana, f"{number}") for number in range(13, 21)]
        await anas.say(conv, "new")
        assert texts([await bobs.expect(Msg)]) == [(21, ana, "new")]


async def test_a_hundred_missed_messages_are_replayed_and_more_are_announced_as_a_gap(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, conv = await begun(here, ana, bob, 150)
        bobs = await here.connect(bob, "one", cursors={conv: 50})
        assert [frame[0] for frame in texts(await bobs.seen())] == list(range(51, 151))
        late = await here.connect(bob, "two", cursors={conv: 49})
        assert await late.seen() == [Gap(conv=conv, from_=50, to=150)]
        await anas.say(conv, "new")
        assert (await late.expect(Msg)).seq == 151


async def test_without_a_cursor_a_session_starts_at_the_head(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, conv = await begun(here, ana, bob, 5)
        bobs = await here.connect(bob)
        assert await bobs.seen() == []
        await anas.say(conv, "six")
        assert (await bobs.expect(Msg)).seq == 6


async def test_a_cursor_at_the_head_or_beyond_it_replays_nothing(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, conv = await begun(here, ana, bob, 5)
        for device, cursor in (("at", 5), ("beyond", 6), ("far", 2**62)):
            bobs = await here.connect(bob, device, cursors={conv: cursor})
            assert await bobs.seen() == []
            sent = await anas.say(conv, "next")
            assert (await bobs.expect(Msg)).seq == sent.seq
            await bobs.close()


async def test_cursors_of_conversations_of_others_and_of_none_are_ignored(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, eve = names(3)
    async with people(server) as here:
        _, theirs = await begun(here, ana, bob, 5)
        _, mine = await begun(here, eve, bob, 3)
        cursors = {theirs: 0, new_id(): 0, mine: 2}
        eves, ready = await here.ready(eve, "other", cursors=cursors)
        assert [one.conv for one in ready.convs] == [mine]
        assert texts(await eves.seen()) == [(3, eve, "3")]


async def test_many_conversations_are_resumed_at_once(server: ServerProcess, names: Names) -> None:
    ana, *others = names(46)
    async with people(server) as here:
        anas = await here.connect(ana)
        convs = [(await anas.create("private", [other])).conv for other in others]
        for number, conv in enumerate(convs):
            await post(anas, conv, [f"{seq}" for seq in range(1, number + 1)])
        cursors = dict.fromkeys(convs, 0)
        back = await here.connect(ana, "other", cursors=cursors)
        seen: dict[str, list[int]] = {}
        for frame in await back.seen():
            assert isinstance(frame, Msg)
            seen.setdefault(frame.conv, []).append(frame.seq)
        expected = {conv: list(range(1, n + 1)) for n, conv in enumerate(convs) if n}
        assert seen == expected


async def test_messages_that_arrive_during_the_replay_follow_it_in_order(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, conv = await begun(here, ana, bob, 60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, anas, conv, [f"{number}" for number in range(61, 461)])
            for number in range(10):
                bobs = here.device()
                await bobs.connect(bob, f"{number}", cursors={conv: 10})
                position = 10
                while position < 460:
                    # A frame out of order would break a rule that the device checks.
                    frame = await bobs.receive()
                    assert isinstance(frame, Msg | Gap)
                    assert (frame.seq if isinstance(frame, Msg) else frame.from_) == position + 1
                    position = frame.seq if isinstance(frame, Msg) else frame.to
                await bobs.close()


async def test_since_lists_only_what_changed(server: ServerProcess, names: Names) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        anas, quiet = await begun(here, ana, bob, 1)
        lively = (await anas.create("private", [carla])).conv
        _, before = await here.ready(ana, "other")
        assert {one.conv for one in before.convs} == {quiet, lively}
        await anas.say(lively, "news")
        device, ready = await here.ready(ana, "third", since=before.now)
        assert ([one.conv for one in ready.convs], ready.more) == ([lively], False)
        # What is not listed is read all the same.
        await anas.say(quiet, "hello?")
        assert (await device.expect(Msg)).conv == quiet
        _, ready = await here.ready(ana, "fourth", since=ready.now + 3_600_000)
        assert ready.convs == []


async def test_ready_lists_the_latest_200_conversations_and_says_that_there_are_more(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        for rid in range(205):
            await anas.send(Create(rid=rid, type="group", members=[bob], title=f"{rid}"))
        convs = [(await anas.expect(Conv)).conv for _ in range(205)]
        # The oldest becomes the latest.
        await anas.say(convs[0], "hello")
        bobs, ready = await here.ready(bob)
        listed = [one.conv for one in ready.convs]
        assert (len(listed), ready.more) == (200, True)
        assert listed[0] == convs[0]
        assert set(listed[1:]) <= set(convs[1:])
        unlisted = next(conv for conv in convs if conv not in listed)
        await anas.say(unlisted, "you did not list me")
        assert (await bobs.expect(Msg)).conv == unlisted
        again: Ready
        _, again = await here.ready(bob, "other", since=ready.now)
        assert ([one.conv for one in again.convs], again.more) == ([unlisted], False)
