"""Edits, deletions and changes, from the request to the readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET
from trio.testing import wait_all_tasks_blocked

from chat4all_actors import tracing
from chat4all_actors.conversation import appends
from chat4all_actors.tracing import new_trace
from chat4all_protocol.frames import (
    Conv,
    Create,
    Delete,
    Edit,
    Error,
    Fetch,
    FileBody,
    Member,
    Msg,
    Page,
    React,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.memory.shard import MemoryShard

from ..actors.harness import Person, person, running_node
from .test_posts import Inbox

if TYPE_CHECKING:
    from chat4all_actors.node import Node
    from chat4all_storage.ports.events import Append


async def begun(ana: Person, *members: str) -> str:
    """A group with a message of its owner."""
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    conv = ana.outlet.of(Conv)[-1].conv
    await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("first")))
    return conv


async def posted(node: Node, append: Append) -> tuple[object, ...]:
    inbox = Inbox()
    await node.conversations.post(append, inbox)
    await wait_all_tasks_blocked()
    (answer,) = inbox.answers
    return answer


def codes(someone: Person) -> list[tuple[str, str | None]]:
    return [(error.code, error.field) for error in someone.outlet.of(Error)]


async def test_an_edit_is_answered_and_passed_like_a_message() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        edit = Edit(rid=3, conv=conv, id=new_id(), target=1, body=TextBody("second"))
        await ana.say(edit)
        assert [(sent.rid, sent.seq, sent.dup) for sent in ana.outlet.of(Sent)][1:] == [
            (3, 2, False)
        ]
        message = bob.outlet.of(Msg)[-1]
        assert (message.seq, message.kind, message.target) == (2, "edit", 1)
        assert message.body == TextBody("second")
        await ana.say(edit)
        assert ana.outlet.of(Sent)[-1].dup
        await bob.say(Fetch(rid=9, conv=conv))
        (page,) = bob.outlet.of(Page)
        assert [item.body for item in page.items] == [TextBody("second")] * 2
        assert [item.edited_at for item in page.items] == [message.ts, None]


async def test_a_deleted_message_is_a_place_without_a_body() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(Edit(rid=3, conv=conv, id=new_id(), target=1, body=TextBody("second")))
        await ana.say(Delete(rid=4, conv=conv, id=new_id(), target=1))
        message = bob.outlet.of(Msg)[-1]
        assert (message.seq, message.kind, message.target, message.body) == (3, "delete", 1, None)
        await bob.say(Fetch(rid=9, conv=conv))
        (page,) = bob.outlet.of(Page)
        assert [(item.seq, item.body, item.deleted) for item in page.items] == [
            (1, None, True),
            (2, None, True),
            (3, None, False),
        ]


async def test_what_may_not_be_edited_or_deleted_is_refused_with_the_reason() -> None:
    async with running_node(max_text=10) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        body = TextBody("x")
        for frame in (
            Edit(rid=1, conv=conv, id=new_id(), target=1, body=body),
            Delete(rid=1, conv=conv, id=new_id(), target=1),
            Edit(rid=1, conv=conv, id=new_id(), target=7, body=body),
            Edit(rid=1, conv=new_id(), id=new_id(), target=1, body=body),
            Edit(rid=1, conv=conv, id=new_id(), target=1, body=TextBody("x" * 11)),
            Edit(rid=1, conv=conv, id=new_id(), target=1, body=FileBody(new_id())),
        ):
            await bob.say(frame)
        assert codes(bob) == [
            ("FORBIDDEN", None),
            ("FORBIDDEN", None),
            ("NOT_FOUND", "target"),
            ("NOT_FOUND", None),
            ("TOO_LARGE", "body.text"),
            ("NOT_FOUND", "body.file_id"),
        ]
        await ana.say(Delete(rid=1, conv=conv, id=new_id(), target=1))
        await ana.say(Delete(rid=2, conv=conv, id=new_id(), target=1))
        assert codes(ana) == [("CONFLICT", "target")]


async def test_edits_and_deletions_count_as_messages_for_the_rate() -> None:
    async with running_node(rate_messages_per_minute=60, rate_burst=3) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        await ana.say(Edit(rid=3, conv=conv, id=new_id(), target=1, body=TextBody("x")))
        await ana.say(Delete(rid=4, conv=conv, id=new_id(), target=1))
        await ana.say(Delete(rid=5, conv=conv, id=new_id(), target=1))
        await ana.say(Edit(rid=6, conv=conv, id=new_id(), target=1, body=TextBody("x")))
        assert [(error.rid, error.code) for error in ana.outlet.of(Error)] == [
            (5, "RATE_LIMITED"),
            (6, "RATE_LIMITED"),
        ]


@pytest.mark.parametrize(
    ("settings", "meta"),
    [
        ({"title": "new"}, {"title": "new"}),
        ({"title": None}, {"title": None}),
        (
            {"metadata": {"a": [1]}, "retention": 60},
            {"metadata": {"a": [1]}, "retention": 60},
        ),
    ],
)
async def test_a_change_is_an_event_and_shows_the_conversation_anew(
    settings: dict[str, Any], meta: dict[str, Any]
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        append = appends.change(conv, "ana", new_id(), **settings)
        assert await posted(node, append) == ("stored", 0, 2, False)
        for someone in (ana, bob):
            event, shown = someone.outlet.taken[-2:]
            assert isinstance(event, Msg)
            assert isinstance(shown, Conv)
            assert (event.kind, event.body, event.meta) == ("change", None, meta)
            assert (shown.head, shown.title) == (2, settings.get("title", "t"))
            assert shown.metadata == settings.get("metadata")
            assert shown.retention == settings.get("retention")
            assert shown.details is None


async def test_another_role_is_shown_with_who_has_it() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await posted(node, appends.role(conv, "ana", new_id(), "bob", "admin"))
        event, shown = bob.outlet.taken[-2:]
        assert isinstance(event, Msg)
        assert isinstance(shown, Conv)
        assert event.meta == {"user": "bob", "role": "admin"}
        assert shown.details == {"bob": Member(role="admin", recv=0, read=0)}
        refused = await posted(node, appends.role(conv, "bob", new_id(), "ana", "member"))
        assert refused == ("refused", 0, "FORBIDDEN")


async def test_members_come_and_go_by_posts() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana)
        joined = await posted(node, appends.join(conv, "ana", new_id(), "bob", "member"))
        assert joined == ("stored", 0, 2, False)
        assert bob.outlet.of(Conv)[-1].members == ["ana", "bob"]
        last = await posted(node, appends.leave(conv, "ana", new_id(), "ana"))
        assert last == ("refused", 0, "CONFLICT")
        await posted(node, appends.leave(conv, "bob", new_id(), "bob"))
        assert bob.outlet.of(Conv)[-1].left


async def test_the_same_content_has_one_digest_whatever_is_unset() -> None:
    conv, id_ = new_id(), new_id()
    assert appends.change(conv, "ana", id_, title="t") == appends.change(
        conv, "ana", id_, title="t", metadata=UNSET
    )
    one = appends.change(conv, "ana", id_, title=None)
    assert one.digest != appends.change(conv, "ana", id_, retention=None).digest


def test_reactions_differ_by_message_emoji_and_whether_they_are_put() -> None:
    conv, id_ = new_id(), new_id()
    one = appends.react(conv, "ana", id_, 1, "👍", on=True)
    assert one == appends.react(conv, "ana", id_, 1, "👍", on=True)
    others = [
        appends.react(conv, "ana", id_, 11, "👍", on=True),
        appends.react(conv, "ana", id_, 1, "👎", on=True),
        appends.react(conv, "ana", id_, 1, "👍", on=False),
    ]
    assert len({append.digest for append in (one, *others)}) == 4


# --- creating for others --------------------------------------------------------------------------


async def test_a_creator_may_stay_outside() -> None:
    async with running_node() as node:
        bob = await person(node, "bob")
        stored, made = await node.conversations.create(
            "group", "service", ["bob", "carla"], "t", joins=False, metadata={"a": 1}
        )
        assert made
        assert {name: each.role for name, each in stored.members.items()} == {
            "bob": "owner",
            "carla": "member",
        }
        (shown,) = bob.outlet.of(Conv)
        assert shown.metadata == {"a": 1}
        pair, _ = await node.conversations.create(
            "private", "service", ["carla", "bob"], None, joins=False
        )
        assert pair.id == private_conversation_id("bob", "carla")


async def test_what_is_sent_is_stored_with_the_trace_it_was_sent_in() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        trace = new_trace()
        token = tracing.current.set(trace)
        conv = await begun(ana, "bob")
        body = TextBody("hello")
        await ana.say(Edit(rid=3, conv=conv, id=new_id(), target=1, body=body))
        await ana.say(React(rid=4, conv=conv, id=new_id(), target=1, emoji="👍", on=True))
        await ana.say(Delete(rid=5, conv=conv, id=new_id(), target=1))
        tracing.current.reset(token)
        (store,) = node.conversations.storage.shards.all
        assert isinstance(store, MemoryShard)
        written = store._logs[conv].written
        assert [append.trace for append in written] == [bytes.fromhex(trace.trace_id)] * 4
