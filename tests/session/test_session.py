from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Conv,
    Create,
    Error,
    Gap,
    Msg,
    Ping,
    Pong,
    Reconnect,
    Refresh,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id

from ..actors.harness import Person, person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.node import Node


async def talk(node: Node) -> tuple[Person, Person, str]:
    """Two people in a conversation."""
    ana, bob = await person(node, "ana"), await person(node, "bob")
    await ana.say(Create(rid=1, type="private", members=["bob"]))
    return ana, bob, ana.outlet.of(Conv)[0].conv


def text(conv: str, rid: int = 1, words: str = "hi") -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=TextBody(words))


async def test_the_sender_gets_sent_and_everybody_else_the_message() -> None:
    async with running_node() as node:
        ana, bob, conv = await talk(node)
        tablet = await person(node, "ana", "tablet")
        await ana.say(text(conv, 7))
        assert [(sent.rid, sent.seq, sent.dup) for sent in ana.outlet.of(Sent)] == [(7, 1, False)]
        assert ana.outlet.of(Msg) == []
        assert [one.seq for one in bob.outlet.of(Msg)] == [1]
        assert [one.seq for one in tablet.outlet.of(Msg)] == [1]


async def test_a_token_that_ends_closes_unless_it_is_refreshed(autojump_clock: MockClock) -> None:
    async with running_node(token_lifetime=60, heartbeat=3600) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await trio.sleep(30)
        await ana.say(Refresh(rid=1, token=node.tokens.issue("id of ana", "ana")))
        await ana.say(Refresh(rid=2, token=node.tokens.issue("id of bob", "bob")))
        assert [error.code for error in ana.outlet.of(Error)] == ["FORBIDDEN"]
        await trio.sleep(40)
        assert ana.outlet.closed is None
        assert bob.outlet.closed is not None
        assert bob.outlet.closed[0] == CloseCode.TOKEN_EXPIRED


async def test_what_does_not_fit_is_announced_as_one_gap_when_there_is_room_again() -> None:
    async with running_node(max_outbound=4096) as node:
        ana, bob, conv = await talk(node)
        bob.outlet.stuck = True
        for number in range(20):
            await ana.say(text(conv, number, "x" * 500))
        queued = len(bob.outlet.held)
        assert 0 < queued < 20
        assert bob.outlet.queued <= 4096
        bob.outlet.release(bob.session)
        seen = [one.seq for one in bob.outlet.of(Msg)]
        (gap,) = bob.outlet.of(Gap)
        assert seen == list(range(1, queued + 1))
        assert (gap.from_, gap.to) == (queued + 1, 20)
        await ana.say(text(conv))
        assert bob.outlet.of(Msg)[-1].seq == 21


async def test_a_hole_is_announced_before_an_own_message_passes_it() -> None:
    async with running_node(max_outbound=4096) as node:
        ana, bob, conv = await talk(node)
        bob.outlet.stuck = True
        for number in range(20):
            await ana.say(text(conv, number, "x" * 500))
        bob.outlet.stuck = False  # the queue is still there: the hole is not announced yet
        await bob.say(text(conv, 99))
        gap, sent = bob.outlet.taken[-2:]
        assert isinstance(gap, Gap)
        assert isinstance(sent, Sent)
        assert (gap.to, sent.seq) == (20, 21)


async def test_it_reads_no_further_while_too_many_requests_wait() -> None:
    async with running_node(max_inflight=2) as node:
        ana, _, conv = await talk(node)
        held = trio.Event()
        store = node.logs.all[0].store
        commit = store.commit

        async def slow(*arguments: object) -> object:
            await held.wait()
            return await commit(*arguments)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "commit", slow)
            async with trio.open_nursery() as nursery:
                await ana.session.receive(encode(text(conv, 1)))
                nursery.start_soon(ana.session.receive, encode(text(conv, 2)))
                await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == 1
                held.set()
        await ana.say(Ping(at=5))
        assert [sent.rid for sent in ana.outlet.of(Sent)] == [1, 2]
        assert ana.outlet.of(Pong)[-1].at == 5


async def test_a_drain_waits_for_what_is_under_way() -> None:
    async with running_node() as node:
        ana, _, _ = await talk(node)
        ana.session.drain(100)
        assert [one.after_ms for one in ana.outlet.of(Reconnect)] == [100]
        ana.session.posted()
        ana.session.finish()
        assert ana.outlet.closed is None
        ana.session._answered()
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.DRAINING


async def test_an_ended_session_is_read_by_nobody() -> None:
    async with running_node() as node:
        ana, bob, conv = await talk(node)
        bob.session.ended()
        await ana.say(text(conv))
        assert bob.outlet.of(Msg) == []
        assert node.statistics().sessions == 1
