from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.edge.listener import open_listeners
from chat4all_actors.node import Node
from chat4all_storage.storage import memory_storage

if TYPE_CHECKING:
    import pytest


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
