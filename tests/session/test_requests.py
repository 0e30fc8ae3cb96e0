from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.accounts.tokens import TokenRefused
from chat4all_actors.conversation import appends
from chat4all_actors.messages import MarkRead
from chat4all_actors.session import requests
from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    AnyClientFrame,
    Composing,
    Connect,
    Conv,
    Create,
    Delete,
    Edit,
    Error,
    Fetch,
    Info,
    Mode,
    Msg,
    Ok,
    Page,
    Ping,
    Pong,
    React,
    Read,
    Receipt,
    Recv,
    Refresh,
    Send,
    TextBody,
    Typing,
    Watch,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, StorageError, Unavailable
from chat4all_storage.ports.logins import EndedLogin

from ..actors.harness import EPOCH, Person, memory_with_users, person, running_node
from ..conversation.test_posts import Inbox
from .busy import BusyConversation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock


async def begun(ana: Person, *members: str) -> str:
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    return ana.outlet.of(Conv)[-1].conv


def text(conv: str, rid: int = 1, words: str = "hi") -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=TextBody(words))


async def page(someone: Person, conv: str, **fields: int) -> tuple[list[int], bool]:
    """The seqs on a page, and whether there are more."""
    await someone.say(Fetch(rid=9, conv=conv, **fields))
    found = someone.outlet.of(Page)[-1]
    return [item.seq for item in found.items], found.more


async def test_missing_and_forbidden_conversations_look_the_same() -> None:
    async with running_node() as node:
        ana, carla = await person(node, "ana"), await person(node, "carla")
        for conv in (await begun(ana), new_id()):
            for frame in (text(conv, 2), Fetch(rid=2, conv=conv), Info(rid=2, conv=conv)):
                await carla.say(frame)
        errors = {(e.code, e.message, e.rid) for e in carla.outlet.of(Error)}
        assert errors == {("NOT_FOUND", "no such conversation", 2)}
        assert len(carla.outlet.of(Error)) == 6


async def test_a_page_says_whether_its_direction_goes_on_and_is_bounded_in_bytes() -> None:
    async with running_node(max_page=64 * 1024, max_frame=60 * 1024, max_text=60_000) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        for rid in range(6):
            await ana.say(text(conv, rid, "x" * 20_000))

        assert await page(ana, conv, after=0, limit=2) == ([1, 2], True)
        assert await page(ana, conv, after=0, limit=1) == ([1], True)
        assert await page(ana, conv, after=4, limit=2) == ([5, 6], False)
        assert await page(ana, conv, after=6) == ([], False)
        assert await page(ana, conv, before=3, limit=2) == ([1, 2], False)
        assert await page(ana, conv, before=3, limit=1) == ([2], True)
        assert await page(ana, conv, limit=1) == ([6], True)
        assert await page(ana, conv, after=0) == ([1, 2, 3], True)
        assert await page(ana, conv, after=3) == ([4, 5, 6], False)
        assert await page(ana, conv) == ([4, 5, 6], True)


async def test_a_page_has_what_fits_from_the_side_that_was_asked_for() -> None:
    async with running_node(max_page=64 * 1024, max_frame=60 * 1024, max_text=60_000) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        for rid, size in enumerate([40_000, 40_000, 1, 1]):
            await ana.say(text(conv, rid, "x" * size))
        assert await page(ana, conv, after=0) == ([1], True)
        assert await page(ana, conv) == ([2, 3, 4], True)


async def test_watermarks_are_clamped_and_told_to_the_others(autojump_clock: MockClock) -> None:
    async with running_node(mark_interval=1) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        await ana.say(text(conv))
        await bob.say(Recv(conv=conv, seq=99))
        await bob.say(Read(conv=conv, seq=1))
        await bob.say(Read(conv=new_id(), seq=1))
        await trio.sleep(2.5)
        told = [(r.user, r.recv, r.read) for r in ana.outlet.of(Receipt)]
        assert told == [("bob", 2, 0), ("bob", 2, 1)]
        assert bob.outlet.of(Receipt) == []
        await ana.say(Info(rid=3, conv=conv))
        details = ana.outlet.of(Conv)[-1].details
        assert details is not None
        assert (details["bob"].recv, details["bob"].read, details["ana"].role) == (2, 1, "owner")


async def test_typing_reaches_the_others_and_not_too_often() -> None:
    async with running_node() as node:
        ana, bob, carla = [await person(node, name) for name in ("ana", "bob", "carla")]
        conv = await begun(ana, "bob")
        await ana.say(Typing(conv=conv, kind="voice"))
        await ana.say(Typing(conv=conv))
        await carla.say(Typing(conv=conv))
        told = [(one.user, one.kind, one.ttl) for one in bob.outlet.of(Composing)]
        assert told == [("ana", "voice", 6000)]
        assert ana.outlet.of(Composing) == carla.outlet.of(Composing) == []


async def test_what_is_not_offered_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(requests._HANDLERS, React)
    async with running_node() as node:
        ana = await person(node, "ana")
        conv, id_ = await begun(ana), new_id()
        await ana.say(React(rid=4, conv=conv, id=id_, target=1, emoji="+", on=True))
        assert [(e.code, e.rid) for e in ana.outlet.of(Error)] == [("UNKNOWN_FRAME", 4)]


def test_every_frame_of_a_live_session_is_offered() -> None:
    assert set(requests._HANDLERS) == set(get_args(AnyClientFrame)) - {Connect}


async def test_a_ping_is_answered_with_its_time() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Ping(at=42))
        await ana.say(Ping())
        assert [pong.at for pong in ana.outlet.of(Pong)] == [42, None]
        assert ana.outlet.of(Msg) == []


class Slow:
    """A store whose next answer waits, so that something may happen meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: object, name: str) -> None:
        self._answer = getattr(store, name)
        self.asked = trio.Event()
        self.go = trio.Event()
        monkeypatch.setattr(store, name, self._wait)

    async def _wait(self, *arguments: Any, **options: Any) -> Any:
        found = await self._answer(*arguments, **options)
        if not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return found


def failing(error: StorageError) -> Callable[..., Awaitable[Any]]:
    async def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def errors(someone: Person) -> list[tuple[int | None, str, str | None]]:
    return [(error.rid, error.code, error.field) for error in someone.outlet.of(Error)]


@pytest.mark.parametrize("name", ["page", "conversation"])
async def test_who_leaves_while_the_store_is_asked_is_told_nothing_more(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, name: str
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        slow = Slow(monkeypatch, storage.shards.all[0], name)
        asked: AnyClientFrame = (
            Fetch(rid=5, conv=conv) if name == "page" else Info(rid=5, conv=conv)
        )
        nursery.start_soon(bob.session.receive, encode(asked))
        await slow.asked.wait()
        leave = appends.leave(conv, "bob", new_id(), "bob")
        await node.conversations.post(leave, Inbox())
        await wait_all_tasks_blocked()
        assert bob.outlet.of(Conv)[-1].left
        slow.go.set()
        await wait_all_tasks_blocked()
        assert errors(bob) == [(5, "NOT_FOUND", None)]
        assert bob.outlet.of(Page) == []


async def test_a_conversation_is_told_as_it_stands_with_its_members_and_their_marks() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=3, type="group", members=["bob", "carla"], title="t"))
        made = ana.outlet.of(Conv)[-1]
        assert (made.rid, made.type, made.title, made.head) == (3, "group", "t", 0)
        assert set(made.members) == {"ana", "bob", "carla"}
        await ana.say(text(made.conv))
        await ana.say(Info(rid=4, conv=made.conv))
        told = ana.outlet.of(Conv)[-1]
        assert (told.rid, told.head) == (4, 1)
        assert told.details is not None
        roles = {name: member.role for name, member in told.details.items()}
        assert roles == {"ana": "owner", "bob": "member", "carla": "member"}


async def test_a_private_conversation_is_made_once_and_entered_once() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        for rid in (1, 2):
            await ana.say(Create(rid=rid, type="private", members=["bob"]))
        first, second = ana.outlet.of(Conv)
        assert (first.rid, second.rid) == (1, 2)
        assert first.conv == second.conv
        assert ana.session.conversations == [first.conv]


async def test_what_can_not_be_created_names_the_field() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="group", members=["nobody"]))
        await ana.say(Create(rid=2, type="private", members=["bob"], title="t"))
        assert errors(ana) == [(1, "NOT_FOUND", "members"), (2, "INVALID_PAYLOAD", "title")]


@pytest.mark.parametrize(
    "frame",
    [
        Create(rid=5, type="group", members=[]),
        Fetch(rid=5, conv=new_id()),
        Info(rid=5, conv=new_id()),
        Mode(rid=5, invisible=True),
    ],
    ids=["create", "fetch", "info", "mode"],
)
@pytest.mark.parametrize("in_doubt", [False, True])
async def test_when_a_store_fails_a_request_is_refused_for_now_or_not_answered_at_all(
    monkeypatch: pytest.MonkeyPatch, frame: AnyClientFrame, in_doubt: bool
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        away = failing(InDoubt("lost") if in_doubt else Unavailable("gone"))
        for name in ("create", "page", "conversation"):
            monkeypatch.setattr(storage.shards.all[0], name, away)
        monkeypatch.setattr(storage.directory, "set_invisible", away)
        await ana.say(frame)
        closed = ana.outlet.closed and ana.outlet.closed[0]
        if in_doubt:
            assert (errors(ana), closed) == ([], CloseCode.INTERNAL)
        else:
            assert (errors(ana), closed) == ([(5, "UNAVAILABLE", None)], None)


async def test_a_user_becomes_invisible_and_a_device_goes_to_the_background_and_back() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Mode(rid=1, background=True))
        assert ana.session.background
        await ana.say(Mode(rid=2, invisible=True))
        assert ana.session.background
        assert node.roster.standing("ana").invisible
        await ana.say(Mode(rid=3, invisible=False, background=False))
        assert not ana.session.background
        assert [ok.rid for ok in ana.outlet.of(Ok)] == [1, 2, 3]


async def test_coming_to_the_front_shows_that_the_user_is_there(autojump_clock: MockClock) -> None:
    async with running_node(away_after=60, heartbeat=3600) as node:
        ana = await person(node, "ana")
        await ana.say(Mode(rid=1, background=True))
        await trio.sleep(120)  # idle, too
        now = node.heartbeat.now
        await ana.session.receive(encode(Mode(rid=2, background=False)))
        assert ana.session._acted == now
        assert not ana.session._idle


async def test_only_what_a_user_does_shows_that_it_is_there(autojump_clock: MockClock) -> None:
    async with running_node(heartbeat=3600, away_after=3600) as node:
        ana = await person(node, "ana")
        conv = await begun(ana, "bob")
        began = node.heartbeat.now
        await trio.sleep(10)
        quiet: list[AnyClientFrame] = [
            Ping(at=1),
            Recv(conv=conv, seq=0),
            Fetch(rid=1, conv=conv),
            Info(rid=2, conv=conv),
            Watch(users=["bob"]),
        ]
        for frame in quiet:
            await ana.say(frame)
            assert ana.session._acted == began
        acts: list[AnyClientFrame] = [
            text(conv),
            Edit(rid=1, conv=conv, id=new_id(), target=1, body=TextBody("b")),
            Delete(rid=1, conv=conv, id=new_id(), target=1),
            React(rid=1, conv=conv, id=new_id(), target=1, emoji="+", on=True),
            Read(conv=conv, seq=1),
            Typing(conv=conv),
            Create(rid=1, type="group", members=[]),
        ]
        for number, act in enumerate(acts):
            await trio.sleep(2)
            now = node.heartbeat.now
            await ana.session.receive(encode(act))
            assert (number, ana.session._acted) == (number, now)


async def test_beyond_what_a_node_watches_nothing_more_is_watched_for_now() -> None:
    async with running_node(max_watched=1) as node:
        ana = await person(node, "ana")
        await ana.say(Watch(users=["bob", "carla"]))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.rid, error.temporary) == ("UNAVAILABLE", None, True)


async def test_a_token_is_renewed_only_by_one_that_counts_for_the_same_user() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        old = node.tokens.issue("id of ana", "ana", login="old")
        node.revocations.end([EndedLogin("old", "ana", int(EPOCH * 1000))])
        good = node.tokens.issue("id of ana", "ana", login="new")
        for rid, token in enumerate(["nonsense", node.tokens.issue("id of bob", "bob"), old, good]):
            await ana.say(Refresh(rid=rid, token=token))
        assert errors(ana) == [
            (0, "UNAUTHENTICATED", "token"),
            (1, "FORBIDDEN", "token"),
            (2, "UNAUTHENTICATED", "token"),
        ]
        with pytest.raises(TokenRefused) as refused:
            node.tokens.verify("nonsense")
        assert ana.outlet.of(Error)[0].message == str(refused.value)
        assert [ok.rid for ok in ana.outlet.of(Ok)] == [3]
        assert ana.session.login == "new"


@pytest.mark.parametrize("ends", [False, True])
async def test_a_mark_waits_for_room_in_a_full_mailbox_and_is_lost_with_its_conversation(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, ends: bool
) -> None:
    async with running_node() as node:
        ana, busy = await person(node, "ana"), BusyConversation()
        monkeypatch.setattr(node.conversations, "read_by", lambda *_: busy)
        nursery.start_soon(ana.session.receive, encode(Read(conv=new_id(), seq=3)))
        await wait_all_tasks_blocked()
        assert busy.told == []
        busy.stopped = ends
        busy.roomy.set()
        await wait_all_tasks_blocked()
        assert [(mark.recv, mark.read) for mark in busy.told if isinstance(mark, MarkRead)] == [
            (3, 3)
        ] * (not ends)
        assert ana.outlet.closed is None


@pytest.mark.parametrize("stopped", [False, True])
async def test_marks_and_typing_are_best_effort(
    monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    async with running_node() as node:
        ana, gone = await person(node, "ana"), BusyConversation(stopped=stopped)
        monkeypatch.setattr(node.conversations, "read_by", lambda *_: gone)
        await ana.say(Typing(conv=new_id()))
        if stopped:
            await ana.say(Recv(conv=new_id(), seq=1))
        assert (errors(ana), ana.outlet.closed, gone.told) == ([], None, [])
