"""Many who connect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Connect,
    Conv,
    Create,
    Error,
    Ready,
    Send,
    TextBody,
)
from chat4all_protocol.ids import new_id

from ..actors.harness import EPOCH, Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    import pytest

    from chat4all_actors.node import Node
    from chat4all_storage.ports.shard import Resumed
    from chat4all_storage.storage import Storage


class SlowStore:
    """Holds the answers to who connects back until it is told to `go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
        self.go = trio.Event()
        (store,) = storage.shards.all
        self._resume = store.resume
        monkeypatch.setattr(store, "resume", self._wait)

    async def _wait(self, user: str, cursors: Any, **options: Any) -> Resumed:
        await self.go.wait()
        return await self._resume(user, cursors, **options)


async def begin(nursery: trio.Nursery, node: Node, user: str, device: str = "d") -> Person:
    """Somebody whose `connect` is being answered."""
    someone = Person(node)
    token = node.tokens.issue(f"id of {user}", user)
    nursery.start_soon(someone.session.receive, encode(Connect(token=token, device=device)))
    await trio.testing.wait_all_tasks_blocked()
    return someone


async def test_when_too_many_connect_the_last_are_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    storage = await memory_with_users()
    limits: dict[str, Any] = {
        "max_connecting": 1,
        "max_connecting_waiting": 1,
        "connecting_patience": 5.0,
    }
    async with running_node(storage, **limits) as node:
        live = await person(node, "bob", "d")
        store = SlowStore(monkeypatch, storage)
        async with trio.open_nursery() as nursery:
            first = await begin(nursery, node, "ana")
            second = await begin(nursery, node, "carla")
            third = await begin(nursery, node, "bob")
            (error,) = third.outlet.of(Error)
            assert (error.code, error.temporary, error.rid) == ("UNAVAILABLE", True, None)
            assert error.retry_after_ms is not None
            assert 5000 <= error.retry_after_ms < 10_000
            assert third.outlet.closed is not None
            assert third.outlet.closed[0] == CloseCode.OVERLOADED
            assert live.outlet.closed is None  # nothing took its place
            assert first.outlet.of(Ready) == second.outlet.of(Ready) == []
            store.go.set()
            await trio.testing.wait_all_tasks_blocked()
            assert len(first.outlet.of(Ready)) == len(second.outlet.of(Ready)) == 1
        assert node.statistics().refused == 1


async def test_who_waits_too_long_to_connect_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    storage = await memory_with_users()
    async with running_node(storage, max_connecting=1, connecting_patience=5.0) as node:
        store = SlowStore(monkeypatch, storage)
        async with trio.open_nursery() as nursery:
            await begin(nursery, node, "ana")
            late = await begin(nursery, node, "bob")
            await trio.sleep(5)
            await trio.testing.wait_all_tasks_blocked()
            assert late.outlet.closed is not None
            assert late.outlet.closed[0] == CloseCode.OVERLOADED
            assert [error.code for error in late.outlet.of(Error)] == ["UNAVAILABLE"]
            store.go.set()
        assert len(node.resumes) == 0


async def test_a_client_that_reads_slowly_keeps_nobody_from_connecting() -> None:
    async with running_node(max_connecting=1, max_connecting_waiting=0, max_outbound=4096) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        slow = Person(node)
        slow.outlet.stuck = True
        slow.outlet.held.append(bytes(8192))
        async with trio.open_nursery() as nursery:
            token = node.tokens.issue("id of bob", "bob")
            connect = encode(Connect(token=token, device="d", cursors={conv: 0}))
            nursery.start_soon(slow.session.receive, connect)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1  # what it missed waits for room
            await person(node, "carla")
            nursery.cancel_scope.cancel()


async def test_a_token_that_is_revoked_while_its_user_waits_opens_no_session(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    storage = await memory_with_users()
    async with running_node(storage, max_connecting=1) as node:
        store = SlowStore(monkeypatch, storage)
        async with trio.open_nursery() as nursery:
            await begin(nursery, node, "ana")
            waiting = await begin(nursery, node, "bob")
            node.revocations.learn({"bob": int(EPOCH) + 1})
            assert waiting.outlet.closed is None
            store.go.set()
        assert waiting.outlet.closed is not None
        assert waiting.outlet.closed[0] == CloseCode.REVOKED
        assert waiting.outlet.of(Ready) == []
        assert len(node.resumes) == 0
