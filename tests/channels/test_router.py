"""From the outbox to deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from chat4all_actors.conversation import appends
from chat4all_protocol.frames import TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from tests.channels.scene import ACCOUNT, BEA, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from trio.testing import MockClock

    from chat4all_storage.ports.events import Append


def message(scene: Scene, text: str = "hello") -> Append:
    return appends.message(scene.conversation, "alice", new_id(), TextBody(text))


async def test_what_is_said_to_an_external_member_is_noted_and_its_account_told(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene().set()
    seq = await scene.say("hello")
    await scene.route()
    assert await scene.states(seq) == ["queued"]
    assert scene.busy == [ACCOUNT]
    assert await scene.shard.leaving(10) == []


async def test_the_next_message_of_a_contact_belongs_where_it_was_written_to_last(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene().set()
    await scene.say("hello")
    await scene.route()
    contacts = await scene.stores.contacts.contacts([BEA])
    assert contacts[BEA].conversation == scene.conversation


async def test_what_the_member_itself_says_goes_nowhere(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    seq = await scene.say("hello", by=BEA)
    await scene.route()
    assert await scene.states(seq) == []
    assert await scene.shard.leaving(10) == []


async def test_what_is_for_the_inside_alone_goes_nowhere(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    seq = await scene.stored(replace(message(scene), channels=("internal",)))
    await scene.route()
    assert await scene.states(seq) == []


async def test_all_parts_of_a_long_text_are_noted_together(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    seq = await scene.say("x" * 9000)
    await scene.route()
    assert await scene.states(seq) == ["queued"] * 3


async def test_more_rows_than_one_look_takes_keep_their_order(autojump_clock: MockClock) -> None:
    scene = await Scene().set()
    seqs = [await scene.say(str(number)) for number in range(450)]
    await scene.route()
    found = await scene.stores.deliveries.listed(["queued"], account=None, after=0, limit=1000)
    assert [each.seq for each in found] == seqs


async def test_a_crash_between_noting_and_removing_doubles_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await Scene().set()
    seq = await scene.say("hello")

    async def crash(ids: Sequence[int]) -> None:
        await trio.lowlevel.checkpoint()
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(scene.shard, "routed", crash)
        await scene.route()
    assert len(await scene.shard.leaving(10)) == 1
    await scene.route()
    assert await scene.states(seq) == ["queued"]
    assert await scene.shard.leaving(10) == []


async def test_a_nudge_is_heard_at_once_and_without_one_it_looks_each_interval(
    autojump_clock: MockClock,
) -> None:
    scene = await Scene().set()
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.router.run)
        await trio.sleep(0.1)
        first = await scene.say("one")
        scene.router.nudge()
        await trio.testing.wait_all_tasks_blocked()
        assert await scene.states(first) == ["queued"]
        second = await scene.say("two")
        await trio.sleep(1.1)
        assert await scene.states(second) == ["queued"]
        nursery.cancel_scope.cancel()
