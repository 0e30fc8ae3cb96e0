from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from chat4all_actors import tracing
from chat4all_actors.messages import Post
from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Conv,
    Create,
    Delete,
    Edit,
    Error,
    Fetch,
    FileBody,
    Msg,
    Page,
    React,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.logical_shards import logical_shard

from ..actors.harness import memory_with_users, person, running_node
from .busy import BusyConversation

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_protocol.frames import AnyClientFrame

    from ..actors.harness import Person


async def begun(ana: Person, *members: str) -> str:
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    return ana.outlet.of(Conv)[-1].conv


def text(conv: str, rid: int = 1, words: str = "hi") -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=TextBody(words))


def errors(someone: Person) -> list[tuple[int | None, str, str | None, bool]]:
    return [(e.rid, e.code, e.field, e.temporary) for e in someone.outlet.of(Error)]


async def test_a_retry_gets_the_same_seq_and_another_body_a_conflict() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        first = text(conv)
        await ana.say(first)
        await ana.say(replace(first, rid=2))
        for other in (
            replace(first, rid=3, body=TextBody("other")),
            replace(first, rid=4, meta={"a": 1}),
            replace(first, rid=5, reply_to=1),
        ):
            await ana.say(other)
        assert [(s.rid, s.seq, s.dup) for s in ana.outlet.of(Sent)] == [(1, 1, False), (2, 1, True)]
        assert errors(ana) == [(rid, "CONFLICT", "id", False) for rid in (3, 4, 5)]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"body": TextBody("x" * 11)}, "TOO_LARGE", "body.text"),
        ({"meta": {"a": "x" * 30}}, "TOO_LARGE", "meta"),
        ({"body": FileBody(new_id(), "x" * 11)}, "TOO_LARGE", "body.text"),
        ({"channels": ["telegram"]}, "CHANNEL_UNAVAILABLE", "channels"),
        ({"reply_to": 1}, "INVALID_PAYLOAD", "reply_to"),
    ],
)
async def test_a_message_beyond_a_limit_names_the_field(
    fields: dict[str, object], code: str, field: str
) -> None:
    async with running_node(max_text=10, max_meta=20) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        await ana.say(replace(text(conv, 7), **fields))
        assert errors(ana) == [(7, code, field, False)]
        await ana.say(replace(text(conv, 8, "x" * 10), channels=["internal", "all"]))
        assert [(sent.rid, sent.seq) for sent in ana.outlet.of(Sent)] == [(8, 1)]


async def test_everything_that_is_stored_of_a_message_reaches_the_others() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        whole = replace(text(conv, 2, "well"), reply_to=1, meta={"a": 1}, channels=["all"])
        await ana.say(whole)
        told = bob.outlet.of(Msg)[-1]
        assert (told.id, told.from_, told.body) == (whole.id, "ana", whole.body)
        assert (told.reply_to, told.meta) == (1, {"a": 1})


async def test_an_edit_and_a_deletion_are_events_of_their_target() -> None:
    async with running_node(max_text=10) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        edit = Edit(rid=2, conv=conv, id=new_id(), target=1, body=TextBody("better"))
        await ana.say(edit)
        await ana.say(replace(edit, rid=3))
        await ana.say(replace(edit, rid=4, id=new_id(), body=TextBody("x" * 11)))
        delete = Delete(rid=5, conv=conv, id=new_id(), target=1)
        await ana.say(delete)
        await bob.say(replace(delete, rid=6, id=new_id(), target=9))
        sent = [(one.rid, one.id, one.seq, one.dup) for one in ana.outlet.of(Sent)]
        assert sent[1:] == [
            (2, edit.id, 2, False),
            (3, edit.id, 2, True),
            (5, delete.id, 3, False),
        ]
        assert errors(ana) == [(4, "TOO_LARGE", "body.text", False)]
        assert errors(bob) == [(6, "NOT_FOUND", "target", False)]
        told = [(one.kind, one.target, one.body, one.from_) for one in bob.outlet.of(Msg)]
        assert told[1:] == [
            ("edit", 1, TextBody("better"), "ana"),
            ("delete", 1, None, "ana"),
        ]


async def test_a_reaction_is_an_event_of_its_target() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        put = React(rid=2, conv=conv, id=new_id(), target=1, emoji="👍", on=True)
        await bob.say(put)
        await bob.say(replace(put, rid=3))
        for changed in ({"emoji": "🎉"}, {"on": False}, {"target": 2}):
            await bob.say(replace(put, rid=4, **changed))
        await bob.say(replace(put, rid=5, id=new_id(), on=False))
        assert [(one.rid, one.seq, one.dup) for one in bob.outlet.of(Sent)] == [
            (2, 2, False),
            (3, 2, True),
            (5, 3, False),
        ]
        assert errors(bob) == [(4, "CONFLICT", "id", False)] * 3
        told = ana.outlet.of(Msg)
        assert [(one.kind, one.target, one.body, one.from_) for one in told] == [
            ("react", 1, None, "bob")
        ] * 2
        assert [one.meta for one in told] == [
            {"emoji": "👍", "on": True},
            {"emoji": "👍", "on": False},
        ]
        await bob.say(Fetch(rid=6, conv=conv, after=1))
        (page,) = bob.outlet.of(Page)
        assert [(item.kind, item.target, item.meta) for item in page.items] == [
            (one.kind, one.target, one.meta) for one in told
        ]


async def test_what_may_not_be_reacted_to_is_refused_with_the_reason() -> None:
    async with running_node() as node:
        ana, carla = await person(node, "ana"), await person(node, "carla")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        put = React(rid=2, conv=conv, id=new_id(), target=1, emoji="👍", on=True)
        await carla.say(put)
        assert errors(carla) == [(2, "NOT_FOUND", None, False)]
        await ana.say(put)
        for rid, target in ((3, 2), (4, 9)):
            await ana.say(replace(put, rid=rid, id=new_id(), target=target))
        await ana.say(Delete(rid=5, conv=conv, id=new_id(), target=1))
        await ana.say(replace(put, rid=6, id=new_id()))
        assert errors(ana) == [
            (3, "NOT_FOUND", "target", False),
            (4, "NOT_FOUND", "target", False),
            (6, "CONFLICT", "target", False),
        ]


async def test_whatever_is_stored_counts_against_the_rate_of_its_user(
    autojump_clock: MockClock,
) -> None:
    async with running_node(rate_messages_per_minute=60, rate_burst=1, heartbeat=3600) as node:
        ana, tablet = await person(node, "ana"), await person(node, "ana", "tablet")
        conv = await begun(ana)
        await ana.say(replace(text(conv), meta={"a": "x" * 5000}))  # what can't be sent is free
        await ana.say(text(conv))
        frames: list[AnyClientFrame] = [
            text(conv, 2),
            Edit(rid=3, conv=conv, id=new_id(), target=1, body=TextBody("b")),
            Delete(rid=4, conv=conv, id=new_id(), target=1),
            React(rid=5, conv=conv, id=new_id(), target=1, emoji="👍", on=True),
        ]
        for frame in frames:
            await tablet.say(frame)
        refused = tablet.outlet.of(Error)
        assert [(e.rid, e.code, e.temporary) for e in refused] == [
            (rid, "RATE_LIMITED", True) for rid in (2, 3, 4, 5)
        ]
        for error in refused:
            assert error.retry_after_ms is not None
            assert 0 < error.retry_after_ms <= 1001
        assert refused[0].retry_after_ms is not None
        await trio.sleep(refused[0].retry_after_ms / 1000)
        await tablet.say(text(conv, 5))
        assert [sent.rid for sent in tablet.outlet.of(Sent)] == [5]


async def test_a_member_may_send_where_it_does_not_read_yet_and_is_introduced_by_that() -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana, carla = await person(node, "ana"), await person(node, "carla")
        conv = new_id()  # made by another node
        await storage.shards.create(conv, "group", "t", "ana", {"ana": "owner"})
        await ana.say(text(conv, 3))
        await carla.say(text(conv, 4))
        assert [one.conv for one in ana.outlet.of(Conv)] == [conv]
        assert [(sent.rid, sent.seq) for sent in ana.outlet.of(Sent)] == [(3, 1)]
        assert errors(carla) == [(4, "NOT_FOUND", None, False)]


async def test_to_a_conversation_that_can_not_be_read_nothing_is_sent_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object) -> object:
        raise Unavailable("gone")

    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        monkeypatch.setattr(storage.shards.all[0], "conversation", away)
        await ana.say(text(new_id(), 5))
        assert errors(ana) == [(5, "UNAVAILABLE", None, True)]


async def test_a_conversation_that_is_still_to_be_introduced_is_not_sent_to() -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana, conv = await person(node, "ana"), new_id()
        await storage.shards.create(conv, "group", "t", "ana", {"ana": "owner"})
        ana.session.missing = frozenset({logical_shard(conv)})
        await ana.say(text(conv, 5))
        assert errors(ana) == [(5, "UNAVAILABLE", None, True)]
        assert ana.outlet.of(Conv) == []


async def sending(
    node: Node, monkeypatch: pytest.MonkeyPatch, conversation: BusyConversation, **reached: Any
) -> tuple[Person, str]:
    """Somebody who reads, or `reaches`, this conversation."""
    ana, conv = await person(node, "ana"), new_id()

    async def reach(*_: object) -> BusyConversation:
        return conversation

    known = None if reached else conversation
    monkeypatch.setattr(node.conversations, "read_by", lambda *_: known)
    monkeypatch.setattr(node.conversations, "reach", reach)
    return ana, conv


@pytest.mark.parametrize("reached", [{}, {"reached": True}], ids=["read", "reached"])
async def test_a_session_waits_for_room_in_a_full_mailbox_before_it_reads_on(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, reached: dict[str, bool]
) -> None:
    async with running_node() as node:
        busy = BusyConversation()
        ana, conv = await sending(node, monkeypatch, busy, **reached)
        frame = text(conv, 5)
        done = trio.Event()

        async def say() -> None:
            await ana.session.receive(encode(frame))
            done.set()

        nursery.start_soon(say)
        await wait_all_tasks_blocked()
        assert not done.is_set()
        busy.roomy.set()
        await wait_all_tasks_blocked()
        assert done.is_set()
        (post,) = busy.told
        assert isinstance(post, Post)
        assert (post.append.id, post.rid, post.origin) == (frame.id, 5, ana.session)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "while it waits"])
@pytest.mark.parametrize("reached", [{}, {"reached": True}], ids=["read", "reached"])
async def test_when_its_conversation_ends_nobody_can_tell_and_the_client_comes_back(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, reached: dict[str, bool], late: bool
) -> None:
    async with running_node() as node:
        conversation = BusyConversation(stopped=not late)
        ana, conv = await sending(node, monkeypatch, conversation, **reached)
        nursery.start_soon(ana.session.receive, encode(text(conv, 5)))
        await wait_all_tasks_blocked()
        conversation.stopped = True
        conversation.roomy.set()
        await wait_all_tasks_blocked()
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.INTERNAL
        assert (ana.outlet.of(Sent), errors(ana)) == ([], [])


async def test_what_is_stored_bears_the_trace_of_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_node() as node:
        conversation = BusyConversation()
        conversation.roomy.set()
        ana, conv = await sending(node, monkeypatch, conversation)
        trace = tracing.new_trace()
        token = tracing.current.set(trace)
        for frame in (
            text(conv),
            Edit(rid=2, conv=conv, id=new_id(), target=1, body=TextBody("b")),
            Delete(rid=3, conv=conv, id=new_id(), target=1),
        ):
            await ana.session.receive(encode(frame))
        tracing.current.reset(token)
        posts = [post for post in conversation.told if isinstance(post, Post)]
        assert [post.append.trace for post in posts] == [bytes.fromhex(trace.trace_id)] * 3


async def test_where_it_reads_a_message_asks_no_store_for_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object) -> object:
        raise Unavailable("gone")

    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        monkeypatch.setattr(storage.shards.all[0], "conversation", away)
        await ana.say(text(conv, 5))
        assert [sent.rid for sent in ana.outlet.of(Sent)] == [5]
