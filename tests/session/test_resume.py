from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.conversation import appends
from chat4all_actors.presence.roster import Status
from chat4all_actors.session import resume
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Composing,
    Connect,
    Conv,
    Create,
    Error,
    Gap,
    Hello,
    Mode,
    Msg,
    Ready,
    Send,
    TextBody,
    Typing,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.logins import EndedLogin
from chat4all_storage.ports.shard import Replay

from ..actors.harness import EPOCH, Person, memory_with_users, person, running_node
from ..conversation.test_posts import Inbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chat4all_actors.node import Node
    from chat4all_storage.ports.shard import Resumed
    from chat4all_storage.storage import Storage


async def group(ana: Person, messages: int) -> str:
    await ana.say(Create(rid=0, type="group", members=["bob"], title="t"))
    conv = ana.outlet.of(Conv)[-1].conv
    for rid in range(messages):
        await ana.say(Send(rid=rid, conv=conv, id=new_id(), body=TextBody("hi")))
    return conv


@pytest.mark.parametrize(("missed", "replayed"), [(0, 0), (1, 1), (100, 100)])
async def test_what_was_missed_follows_ready(missed: int, replayed: int) -> None:
    async with running_node() as node:
        conv = await group(await person(node, "ana"), missed + 3)
        bob = await person(node, "bob", cursors={conv: 3})
        assert [one.seq for one in bob.outlet.of(Msg)] == list(range(4, 4 + replayed))
        assert bob.outlet.of(Gap) == []


async def test_where_nothing_was_missed_nothing_is_told_and_the_next_conversation_is() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        seen, missed = await group(ana, 2), await group(ana, 2)
        bob = await person(node, "bob", cursors={seen: 2, missed: 1})
        assert [(one.conv, one.seq) for one in bob.outlet.of(Msg)] == [(missed, 2)]


async def test_who_connects_in_the_background_is_away_until_it_comes_to_the_front() -> None:
    async with running_node() as node:
        bob = await person(node, "bob", background=True)
        assert node.roster.standing("bob").status is Status.AWAY
        assert bob.session.background
        await bob.say(Mode(rid=1, background=False))
        assert node.roster.standing("bob").status is Status.ONLINE


async def test_more_than_100_missed_events_are_a_gap() -> None:
    async with running_node() as node:
        conv = await group(await person(node, "ana"), 104)
        bob = await person(node, "bob", cursors={conv: 3})
        assert bob.outlet.of(Msg) == []
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(4, 104)]


async def test_beyond_the_bounds_of_a_replay_there_is_a_gap() -> None:
    async with running_node(max_replay_events=6) as node:
        ana = await person(node, "ana")
        convs = [await group(ana, 4) for _ in range(3)]
        bob = await person(node, "bob", cursors=dict.fromkeys(convs, 1))
        replayed = [one.conv for one in bob.outlet.of(Msg)]
        (gap,) = bob.outlet.of(Gap)
        assert (gap.from_, gap.to) == (2, 4)
        assert sorted([*replayed, *[gap.conv] * 3]) == sorted(convs * 3)
    async with running_node(max_replay=64 * 1024) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 0)
        for rid in range(9):
            text = TextBody("x" * 9000)
            await ana.say(Send(rid=rid, conv=conv, id=new_id(), body=text))
        bob = await person(node, "bob", cursors={conv: 0})
        assert [one.seq for one in bob.outlet.of(Msg)] == list(range(1, 8))
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(8, 9)]


async def test_what_is_stored_while_the_store_is_asked_is_read_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)
        store = storage.shards.all[0]
        resume = store.resume

        async def slow(*arguments: Any, **options: Any) -> Resumed:
            found = await resume(*arguments, **options)
            await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("meanwhile")))
            return found

        monkeypatch.setattr(store, "resume", slow)
        bob = await person(node, "bob", cursors={conv: 1})
        assert bob.outlet.of(Ready)[0].convs[0].head == 3
        assert [one.seq for one in bob.outlet.of(Msg)] == [2, 3]
        assert bob.outlet.of(Gap) == []


async def test_a_cursor_that_can_not_be_right_counts_for_nothing() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)
        carla = await person(node, "carla", cursors={conv: 0, new_id(): 5})
        bob = await person(node, "bob", cursors={conv: 50})
        assert carla.outlet.of(Msg) == bob.outlet.of(Msg) == []
        await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("hi")))
        assert [one.seq for one in bob.outlet.of(Msg)] == [3]
        assert carla.outlet.of(Msg) == []


async def test_a_bad_token_and_an_expired_one_are_told_apart() -> None:
    async with running_node() as node:
        codes = []
        node.tokens.lifetime = -5
        for token in ("nonsense", node.tokens.issue("id", "ana")):
            someone = Person(node)
            await someone.say(Connect(token=token, device="d"))
            assert someone.outlet.of(Error)[0].code == "UNAUTHENTICATED"
            assert someone.outlet.closed is not None
            codes.append(someone.outlet.closed[0])
        assert codes == [CloseCode.BAD_TOKEN, CloseCode.TOKEN_EXPIRED]


async def test_the_same_device_takes_its_own_place_and_too_many_devices_are_refused() -> None:
    async with running_node(max_sessions_per_user=2) as node:
        first = await person(node, "ana", "one")
        await person(node, "ana", "two")
        await person(node, "ana", "one")
        assert first.outlet.closed is not None
        assert first.outlet.closed[0] == CloseCode.REPLACED
        third = Person(node)
        await third.say(Connect(token=node.tokens.issue("id of ana", "ana"), device="three"))
        assert third.outlet.closed is not None
        assert third.outlet.closed[0] == CloseCode.TOO_MANY_CONNECTIONS


async def test_a_store_that_is_away_refuses_for_now_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object, **__: object) -> object:
        raise Unavailable("gone")

    storage = await memory_with_users()
    async with running_node(storage) as node:
        monkeypatch.setattr(storage.shards.all[0], "resume", away)
        ana = Person(node)
        await ana.say(Connect(token=node.tokens.issue("id of ana", "ana"), device="d"))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.temporary) == ("UNAVAILABLE", True)
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.OVERLOADED
        assert "gone" in caplog.text
        assert len(node.resumes) == 0


async def refused(node: Node, token: str) -> tuple[list[str], int | None]:
    """What somebody with this token is told, and the close code."""
    someone = Person(node)
    await someone.say(Connect(token=token, device="d"))
    closed = someone.outlet.closed
    return [error.code for error in someone.outlet.of(Error)], closed and closed[0]


async def test_a_token_that_does_not_count_opens_no_session() -> None:
    async with running_node() as node:
        node.revocations.end([EndedLogin("old", "ana", int(EPOCH * 1000))])
        for token, code in [
            (node.tokens.issue("id of ana", "ana", login="old"), CloseCode.REVOKED),
            (node.tokens.issue_for_client("id", "billing", ["act_as"]), CloseCode.BAD_TOKEN),
        ]:
            assert await refused(node, token) == (["UNAUTHENTICATED"], code)
        assert node.statistics().sessions == 0


async def test_ready_tells_whose_session_it_is_and_how_each_conversation_stands(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv = await group(ana, 3)
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        bob = await person(node, "bob")
        (ready,) = bob.outlet.of(Ready)
        assert (ready.session, ready.user) == (bob.session.id, "bob")
        assert ready.now == int((EPOCH + trio.current_time()) * 1000)
        states = {state.conv: state for state in ready.convs}
        assert not ready.more
        assert (states[conv].type, states[conv].title, states[conv].head) == ("group", "t", 3)
        assert (states[conv].unread, states[conv].read, states[conv].recv) == (3, 0, 0)
        private = ana.outlet.of(Conv)[-1].conv
        assert (states[private].type, states[private].peer) == ("private", "ana")


async def test_a_private_conversation_shows_who_composes_at_once() -> None:
    storage = await memory_with_users()
    private = new_id()
    members = {"ana": "member", "bob": "member"}
    await storage.shards.create(private, "private", None, "ana", members)
    async with running_node(storage) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Typing(conv=private))
        assert [one.user for one in bob.outlet.of(Composing)] == ["ana"]


async def test_conversations_where_nothing_happened_since_are_read_and_not_listed() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        quiet = [await group(ana, 1) for _ in range(2)]
        (store,) = node.conversations.storage.shards.all
        nothing = Replay(each=0, events=0, size=0)
        found = await store.resume("bob", {}, details=0, replay=nothing)
        latest = found.memberships[0]
        tablet = await person(node, "bob", "tablet", since=latest.active_at)
        assert latest.conversation in [one.conv for one in tablet.outlet.of(Ready)[0].convs]
        bob = await person(node, "bob", since=latest.active_at + 1)
        assert bob.outlet.of(Ready)[0].convs == []
        for conv in quiet:
            await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("hi")))
        assert [(one.conv, one.seq) for one in bob.outlet.of(Msg)] == [(conv, 2) for conv in quiet]


async def test_ready_lists_so_many_conversations_and_says_that_there_are_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume, "LISTED", 2)
    async with running_node() as node:
        ana = await person(node, "ana")
        convs = [await group(ana, 0) for _ in range(2)]
        assert not (await Person(node).connect("bob")).more
        convs.append(await group(ana, 0))
        bob = await person(node, "bob", "other")
        (ready,) = bob.outlet.of(Ready)
        assert (len(ready.convs), ready.more) == (2, True)
        assert sorted(bob.session.conversations) == sorted(convs)


class During:
    """Something happens when the stores have been asked by who connects, and before it is told."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        storage: Storage,
        act: Callable[[], Awaitable[object]],
    ) -> None:
        (store,) = storage.shards.all
        self._resume = store.resume
        self._act = act
        self._done = False
        monkeypatch.setattr(store, "resume", self._answer)

    async def _answer(self, *arguments: Any, **options: Any) -> Resumed:
        found = await self._resume(*arguments, **options)
        if not self._done:
            self._done = True
            await self._act()
        return found


@pytest.mark.parametrize("cursor", [None, 0, 1])
async def test_who_is_added_while_connecting_is_introduced_behind_ready(
    monkeypatch: pytest.MonkeyPatch, cursor: int | None
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=0, type="group", members=[], title="t"))
        conv = ana.outlet.of(Conv)[-1].conv
        await ana.say(Send(rid=1, conv=conv, id=new_id(), body=TextBody("hi")))

        async def add() -> None:
            append = appends.join(conv, "ana", new_id(), "bob", "member")
            await node.conversations.post(append, Inbox())
            await trio.testing.wait_all_tasks_blocked()
            await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("welcome")))

        During(monkeypatch, storage, add)
        bob = await person(node, "bob", cursors={} if cursor is None else {conv: cursor})
        order = [type(frame) for frame in bob.outlet.taken]
        assert bob.outlet.of(Ready)[0].convs == []
        (introduced,) = bob.outlet.of(Conv)
        assert introduced.conv == conv
        if cursor is not None:  # what follows it is replayed
            assert introduced.head == cursor
            assert order[2:] == [Conv, *[Msg] * (3 - cursor)]
            assert [one.seq for one in bob.outlet.of(Msg)] == list(range(cursor + 1, 4))
            assert bob.outlet.of(Gap) == []
        else:
            assert introduced.head == 2
            assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(3, 3)]
        await ana.say(Send(rid=3, conv=conv, id=new_id(), body=TextBody("how are you?")))
        assert bob.outlet.of(Msg)[-1].seq == 4


async def test_who_is_removed_while_connecting_hears_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        kept, conv = await group(ana, 1), await group(ana, 2)

        async def remove() -> None:
            append = appends.leave(conv, "ana", new_id(), "bob")
            await node.conversations.post(append, Inbox())
            await trio.testing.wait_all_tasks_blocked()

        During(monkeypatch, storage, remove)
        bob = await person(node, "bob", cursors={conv: 0})
        await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("alone")))
        assert [type(frame) for frame in bob.outlet.taken] == [Hello, Ready]
        assert [state.conv for state in bob.outlet.of(Ready)[0].convs] == [kept]
        await ana.say(Send(rid=9, conv=kept, id=new_id(), body=TextBody("together")))
        assert [(one.conv, one.seq) for one in bob.outlet.of(Msg)] == [(kept, 2)]


async def test_what_can_not_be_read_of_what_was_missed_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object, **__: object) -> object:
        raise Unavailable("gone")

    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)

        async def speak() -> None:
            await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("meanwhile")))

        During(monkeypatch, storage, speak)
        monkeypatch.setattr(storage.shards.all[0], "history", away)
        bob = await person(node, "bob", cursors={conv: 1})
        assert [one.seq for one in bob.outlet.of(Msg)] == [2]
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(3, 3)]
        assert bob.session.held is None
        assert "missed events could not be read: gone" in caplog.text


async def test_what_happens_during_a_replay_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        convs = [await group(ana, 1) for _ in range(2)]
        bob = Person(node)

        async def room(below: int) -> None:
            """Waited for before each conversation's replay: they speak while the first waits."""
            if not bob.outlet.of(Msg):
                for conv in convs:
                    await ana.say(Send(rid=5, conv=conv, id=new_id(), body=TextBody("now")))

        monkeypatch.setattr(bob.outlet, "room", room)
        await bob.connect("bob", cursors=dict.fromkeys(convs, 0))
        told = [(one.conv, one.seq) for one in bob.outlet.of(Msg)]
        assert told == [(conv, seq) for conv in convs for seq in (1, 2)]
        assert bob.session.held is None
