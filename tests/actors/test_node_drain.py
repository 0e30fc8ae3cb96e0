from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.cluster.backbone import Backbone
from chat4all_actors.cluster.cluster import Cluster
from chat4all_actors.config import Settings
from chat4all_actors.drain import ALONE_PATIENCE, MAX_PATIENCE
from chat4all_actors.edge.sockets import open_listeners
from chat4all_actors.node import Node
from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import Connect, Conv, Create, Msg, Ready, Reconnect, Sent
from chat4all_storage.storage import memory_storage

from ..session.test_session import text
from .harness import Person, person, running_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.ports.shard import Resumed


class Broken:
    """A member of the heartbeat that takes it down."""

    def beat(self, now: float) -> None:
        raise RuntimeError("broken")


async def test_a_part_that_fails_during_a_drain_neither_ends_the_node_nor_opens_its_door(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = open_listeners("127.0.0.1", 0)
    node = Node(Settings(), memory_storage(), jwt_key="k" * 32, listeners=listeners)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        await node.drain()
        await wait_all_tasks_blocked()
        broken = Broken()
        node.heartbeat.add(broken)
        await trio.sleep(30)  # the restarts that the edge may need, and more
        assert node.unready() == "draining"
        assert {child.state for child in node.tree().children} == {"running"}
        assert all(listener.fileno() < 0 for listener in listeners)
        nursery.cancel_scope.cancel()
    assert "heartbeat failed" in caplog.text
    assert "edge failed" not in caplog.text


@asynccontextmanager
async def draining(node: Node, *within: Person) -> AsyncIterator[None]:
    """The block runs while the node drains with these connected; at its end the drain has ended."""
    for someone in within:
        someone.enter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.drain)
        await wait_all_tasks_blocked()
        yield


def close_code(someone: Person) -> int | None:
    return someone.outlet.closed[0] if someone.outlet.closed is not None else None


@pytest.fixture
def _cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are other nodes that clients can move to."""
    monkeypatch.setattr(Cluster, "alone", False)


@pytest.mark.usefixtures("_cluster")
async def test_who_was_told_to_move_is_served_as_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        async with draining(node, ana, bob):
            assert node.unready() == "draining"
            await ana.say(text(conv))
            assert [sent.seq for sent in ana.outlet.of(Sent)] == [1]
            assert [event.seq for event in bob.outlet.of(Msg)] == [1]
            assert len(bob.outlet.of(Reconnect)) == 1
            await trio.sleep(MAX_PATIENCE - 0.1)
            assert [close_code(ana), close_code(bob)] == [None, None]
        assert [close_code(ana), close_code(bob)] == [CloseCode.DRAINING] * 2
        assert trio.current_time() == MAX_PATIENCE


@pytest.mark.usefixtures("_cluster")
async def test_a_drain_ends_when_everybody_has_moved(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        async with draining(node, ana):
            await trio.sleep(1)
            ana.session.replaced()  # its device has connected elsewhere
        assert close_code(ana) == CloseCode.DRAINING
        assert trio.current_time() == 1


async def test_who_can_move_nowhere_is_closed_soon(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        async with draining(node, ana):
            assert len(ana.outlet.of(Reconnect)) == 1
        assert close_code(ana) == CloseCode.DRAINING
        assert trio.current_time() == ALONE_PATIENCE


@pytest.mark.usefixtures("_cluster")
async def test_who_has_not_begun_to_connect_is_closed_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running_node() as node:
        someone = Person(node)
        async with draining(node, someone):
            assert close_code(someone) == CloseCode.DRAINING
        assert someone.outlet.of(Reconnect) == []
        assert trio.current_time() == 0


@pytest.mark.usefixtures("_cluster")
async def test_who_is_connecting_is_told_when_ready(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node(resume_patience=60.0) as node:
        (store,) = node._storage.shards.all
        slow = trio.Event()
        resume = store.resume

        async def wait(user: str, cursors: Any, **options: Any) -> Resumed:
            await slow.wait()
            return await resume(user, cursors, **options)

        monkeypatch.setattr(store, "resume", wait)
        ana = Person(node)
        async with trio.open_nursery() as nursery:
            token = node.tokens.issue("id of ana", "ana")
            connect = encode(Connect(token=token, device="device"))
            nursery.start_soon(ana.session.receive, connect)
            await wait_all_tasks_blocked()
            async with draining(node, ana):
                assert ana.outlet.of(Reconnect) == []
                slow.set()
                await wait_all_tasks_blocked()
                assert [type(frame) for frame in ana.outlet.taken[-2:]] == [Ready, Reconnect]
        assert close_code(ana) == CloseCode.DRAINING


@pytest.mark.usefixtures("_cluster")
async def test_a_client_that_never_goes_does_not_hold_the_node_up(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_node(drain_timeout=20.0) as node:
        ana = await person(node, "ana")
        async with draining(node, ana):
            ana.outlet.on_close = lambda: None
        assert trio.current_time() == pytest.approx(19)
        assert "took too long for 1 connections" in caplog.text
        node.edge.closed()


async def test_a_node_leaves_the_cluster_when_all_else_is_done_and_is_not_held_up_by_that(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_with: list[int] = []

    async def leave(backbone: Backbone) -> None:
        left_with.append(node.edge.open)
        await trio.sleep_forever()

    monkeypatch.setattr(Backbone, "leave", leave)
    async with running_node(drain_timeout=20.0) as node:
        async with draining(node, await person(node, "ana")):
            pass
        assert left_with == []
        drained_at = trio.current_time()
    assert left_with == [0]
    assert trio.current_time() == pytest.approx(drained_at + 1)
