from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.conversation import appends
from chat4all_actors.messages import Passing, Post
from chat4all_actors.session.session import Session
from chat4all_actors.wire import framed
from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.connection import MAX_BAD_FRAMES
from chat4all_protocol.frames import (
    Connect,
    Conv,
    Create,
    Edit,
    Error,
    Gap,
    Hello,
    Limits,
    Msg,
    Ping,
    Pong,
    Ready,
    Reconnect,
    Refresh,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id

from ..actors.harness import EPOCH, Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_storage.ports.shard import Resumed


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


def told(someone: Person) -> list[tuple[str, int]]:
    """Events and answers in the order in which they came."""
    kinds = (Msg, Sent)
    return [
        (type(frame).__name__, frame.seq)
        for frame in someone.outlet.taken
        if isinstance(frame, kinds)
    ]


async def test_what_may_not_be_sent_now_is_refused_and_repeated_nonsense_ends_it() -> None:
    async with running_node() as node:
        someone = Person(node)
        await someone.say(text(new_id(), 7))
        assert [(e.rid, e.code) for e in someone.outlet.of(Error)] == [(7, "UNAUTHENTICATED")]
        assert someone.outlet.closed is None
        for _ in range(MAX_BAD_FRAMES):
            await someone.session.receive(b"nonsense")
        assert someone.outlet.closed is not None
        assert someone.outlet.closed[:2] == (
            CloseCode.INVALID_DATA,
            someone.outlet.of(Error)[-1].message,
        )


async def test_who_connects_twice_is_closed_as_a_client_that_breaks_the_rules() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        token = node.tokens.issue("id of ana", "ana")
        await ana.say(Connect(token=token, device="device"))
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.BAD_FRAME


async def test_the_client_is_greeted_with_what_holds_here() -> None:
    async with running_node(
        heartbeat=25, max_frame=8192, max_text=100, max_inflight=3, rate_messages_per_minute=60
    ) as node:
        (hello,) = Person(node).outlet.of(Hello)
        assert (hello.proto, hello.node, hello.heartbeat_ms) == (1, node.node_id, 25_000)
        assert hello.limits == Limits(frame=8192, text=100, inflight=3, rate=60)
        assert 0 <= hello.now - int(EPOCH * 1000) <= trio.current_time() * 1000
        assert len(node.heartbeat) == 1


async def test_one_that_is_to_connect_is_visited_every_second_and_a_live_one_every_5(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with running_node() as node:
        visits: Counter[object] = Counter()
        monkeypatch.setattr(Session, "beat", lambda session, now: visits.update([session]))
        live, early = await person(node, "ana"), Person(node)
        await trio.sleep(20.5)
        assert (visits[live.session], visits[early.session]) == (4, 20)


async def test_nothing_is_read_from_a_client_that_is_being_closed() -> None:
    async with running_node() as node:
        ana, _, conv = await talk(node)
        ana.session.close_internal()
        await ana.say(text(conv))
        assert node.statistics().stored == 0


async def test_nothing_more_is_read_while_the_last_answers_are_due() -> None:
    async with running_node() as node:
        ana, _, conv = await talk(node)
        ana.session.posted()
        ana.session.finish()
        await ana.say(text(conv))
        assert node.statistics().stored == 0
        assert ana.outlet.closed is None


async def test_it_reads_no_further_while_the_client_does_not_take_its_answers(
    nursery: trio.Nursery,
) -> None:
    async with running_node(max_outbound=4096) as node:
        ana = await person(node, "ana")
        ana.outlet.stuck = True
        ana.outlet.held.append(bytes(4096))
        read = trio.Event()

        async def say() -> None:
            await ana.session.receive(encode(Ping(at=1)))  # its answer is beyond the bound
            read.set()

        nursery.start_soon(say)
        await trio.testing.wait_all_tasks_blocked()
        assert not read.is_set()
        ana.outlet.held[0] = b""
        ana.outlet.release(ana.session)
        await read.wait()
        assert [pong.at for pong in ana.outlet.of(Pong)] == [1]


async def test_an_own_message_and_what_others_say_in_the_same_flush_keep_their_order() -> None:
    async with running_node() as node:
        ana, bob, conv = await talk(node)
        for number in range(3):
            for someone in (ana, bob):
                await someone.session.receive(encode(text(conv, number)))
        await trio.testing.wait_all_tasks_blocked()
        for someone in (ana, bob):
            seqs = [seq for _, seq in told(someone)]
            assert seqs == sorted(seqs) == list(range(1, 7))
            assert [kind for kind, _ in told(someone)].count("Sent") == 3


async def test_behind_a_full_queue_others_become_a_gap_and_own_answers_follow_it() -> None:
    async with running_node(max_outbound=4096) as node:
        ana, bob, conv = await talk(node)
        bob.outlet.stuck = True
        bob.outlet.held.append(b"")
        for number in range(20):
            await ana.say(text(conv, number, "x" * 500))
        for someone in (ana, bob, ana):
            await someone.session.receive(encode(text(conv, 50)))
        await trio.testing.wait_all_tasks_blocked()
        bob.outlet.release(bob.session)
        order = [
            (type(frame).__name__, frame.to if isinstance(frame, Gap) else frame.seq)
            for frame in bob.outlet.taken
            if isinstance(frame, Gap | Msg | Sent)
        ]
        assert order[-3:] == [("Gap", 21), ("Sent", 22), ("Gap", 23)]
        assert bob.session._inflight == 0


def flush(conv: str, someone: Person, size: int) -> list[Passing]:
    """What its conversation tells of two events: a message of its own, and another's."""
    post = Post(appends.delete(conv, "ana", new_id(), 1), 1, someone.session)
    other = Msg(conv=conv, seq=2, id=new_id(), from_="bob", ts=0, body=TextBody("x" * size))
    someone.session.posted()
    return [Passing(1, 0, b"", "ana", post), Passing(2, 0, framed(other), "bob")]


async def test_what_one_flush_tells_goes_out_in_one_piece() -> None:
    async with running_node() as node:
        ana, _, conv = await talk(node)
        ana.outlet.stuck = True
        ana.session.deliver_own(conv, flush(conv, ana, size=1))
        assert len(ana.outlet.held) == 1
        ana.outlet.release(ana.session)
        assert told(ana) == [("Sent", 1), ("Msg", 2)]
        assert ana.session._inflight == 0


@pytest.mark.parametrize(("size", "fits"), [(20, True), (500, False)])
async def test_behind_what_is_queued_what_others_say_beside_an_own_message_is_bounded(
    size: int, fits: bool
) -> None:
    async with running_node(max_outbound=4096) as node:
        ana, _, conv = await talk(node)
        ana.outlet.stuck = True
        ana.outlet.held.append(bytes(3700))
        ana.session.deliver_own(conv, flush(conv, ana, size))
        ana.outlet.held[0] = b""
        ana.outlet.release(ana.session)
        assert told(ana) == [("Sent", 1), ("Msg", 2)][: 1 + fits]
        assert [(gap.from_, gap.to) for gap in ana.outlet.of(Gap)] == [(2, 2)] * (not fits)


async def test_a_refusal_is_an_answer_too() -> None:
    async with running_node(max_inflight=1) as node:
        ana, _, conv = await talk(node)
        for rid in range(3):
            await ana.say(Edit(rid=rid, conv=conv, id=new_id(), target=9, body=TextBody("b")))
        assert [error.rid for error in ana.outlet.of(Error)] == [0, 1, 2]
        assert ana.session._inflight == 0


async def test_when_what_became_of_a_message_is_lost_the_client_comes_back_to_find_out() -> None:
    async with running_node() as node:
        ana, _, conv = await talk(node)
        post = Post(appends.delete(conv, "ana", new_id(), 1), 1, ana.session)
        ana.session.posted()
        ana.session.lost(post)
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.INTERNAL


async def test_who_is_told_to_move_before_its_first_frame_is_closed_and_later_served_on() -> None:
    async with running_node() as node:
        early = Person(node)
        early.session.drain(100)
        assert early.outlet.closed == (CloseCode.DRAINING, "this node is stopping", False)
        early.session.drain(200)
        assert early.outlet.of(Reconnect) == []
        ana, _, conv = await talk(node)
        ana.session.drain(100)
        await ana.say(text(conv))
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [1]
        ana.session.finish()
        await ana.session.receive(encode(text(conv)))
        assert len(ana.outlet.of(Sent)) == 1
        assert ana.outlet.closed is not None


async def test_who_is_told_to_move_while_connecting_hears_of_it_behind_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = Person(node)
        (store,) = storage.shards.all
        resume = store.resume

        async def meanwhile(*arguments: Any, **options: Any) -> Resumed:
            ana.session.drain(300)
            return await resume(*arguments, **options)

        monkeypatch.setattr(store, "resume", meanwhile)
        await ana.connect("ana")
        assert [type(frame) for frame in ana.outlet.taken[-2:]] == [Ready, Reconnect]
        assert ana.outlet.of(Reconnect)[0].after_ms == 300


async def test_who_is_closed_while_connecting_hears_of_no_event() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        ana.session.close_internal()
        ana.session.went_live()
        assert not ana.session.hears


async def test_what_an_ended_session_held_is_given_back() -> None:
    async with running_node() as node:
        ana, _, conv = await talk(node)
        ana.session.ended()
        assert ana.session.over
        assert ana.session.conversations == []
        assert len(node.heartbeat) == 1
        assert node.conversations.read_by(conv, ana.session) is None
        assert node.roster.standing("ana").devices == 0
