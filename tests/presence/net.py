"""The presence of several nodes that tell each other by function calls."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.presence.carrier import RosterChanges, RosterSnapshot
from chat4all_actors.presence.presence import Presences
from chat4all_actors.presence.roster import Roster
from chat4all_protocol.frames import Presence
from chat4all_protocol.ids import private_conversation_id

from ..actors.harness import EPOCH, FakeOutlet, memory_with_users
from ..actors.test_fanout import FakeReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.presence.carrier import RosterItem
    from chat4all_storage.storage import Storage

DAMPING = 5.0
EXPIRY = 300.0


class FakeSession(FakeReader):
    """A session that arrives, watches and leaves."""

    def __init__(self, user: str, device: str, friends: list[str]) -> None:
        super().__init__(user, device)
        self.over = False
        self.conversations = [private_conversation_id(user, friend) for friend in friends]
        self.outlet = FakeOutlet()

    def deliver_presence(self, data: bytes) -> bool:
        self.outlet.send_nowait(data)
        return True

    def shown(self) -> list[tuple[str, str]]:
        """What it was shown since the last call."""
        frames, self.outlet.taken = self.outlet.of(Presence), []
        return [(frame.user, frame.status) for frame in frames]


class Wire:
    """The carrier of one node: what it sends is heard at once, unless it is `cut`."""

    def __init__(self, node: str, net: Net) -> None:
        self.node = node
        self.net = net
        self.sent: list[tuple[str | None, RosterItem]] = []
        self.cut = False

    def broadcast(self, item: RosterItem) -> None:
        self.sent.append((None, item))
        for node in self.net.nodes.values():
            if node.name != self.node:
                self.carry(node, item)

    def send(self, node: str, item: RosterItem) -> None:
        self.sent.append((node, item))
        if node in self.net.nodes:
            self.carry(self.net.nodes[node], item)

    def carry(self, to: Node, item: RosterItem) -> None:
        if self.cut:
            return
        if isinstance(item, RosterChanges):
            to.presences.changed(self.node, item)
        elif isinstance(item, RosterSnapshot):
            to.presences.snapshot_from(self.node, item)
        else:
            to.presences.wanted(self.node)

    def of(self, kind: type[RosterItem]) -> list[str | None]:
        """To whom items of a kind were sent since the last call, of any kind."""
        sent, self.sent = self.sent, []
        return [to for to, item in sent if isinstance(item, kind)]


class Node:
    """The presence of one node."""

    def __init__(self, name: str, net: Net) -> None:
        self.name = name
        self.roster = Roster(name)
        self.local = LocalReaders()
        self.wire = Wire(name, net)
        self.presences = Presences(
            settings=net.settings,
            storage=net.storage,
            roster=self.roster,
            local=self.local,
            carrier=self.wire,
            clock=lambda: EPOCH + trio.current_time(),
        )

    async def session(
        self, user: str, device: str = "phone", *, friends: tuple[str, ...] = ()
    ) -> FakeSession:
        """A session that has arrived."""
        session = FakeSession(user, device, list(friends))
        self.local.add(session)
        await self.presences.arrive(session, away=False)
        await wait_all_tasks_blocked()
        return session

    async def watcher(self, *friends: str) -> FakeSession:
        """A session of zoe, who watches her friends; what she was shown first is dropped."""
        session = await self.session("zoe", friends=friends)
        self.presences.watch(session, friends)
        session.shown()
        return session

    async def end(self, session: FakeSession) -> None:
        self.local.remove(session)
        self.presences.leave(session)
        await wait_all_tasks_blocked()


class Net:
    """Nodes over one storage."""

    def __init__(self, storage: Storage, nursery: trio.Nursery, settings: Settings) -> None:
        self.storage = storage
        self.settings = settings
        self.nodes: dict[str, Node] = {}
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}

    async def start(self, name: str) -> Node:
        node = Node(name, self)
        self._scopes[name] = await self._nursery.start(self._run, node)
        for other in self.nodes.values():
            other.presences.node_joined(name)
            node.presences.node_joined(other.name)
        self.nodes[name] = node
        await wait_all_tasks_blocked()
        return node

    async def _run(self, node: Node, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(node.presences.run)
                task_status.started(scope)

    async def stop(self, name: str, *, orderly: bool) -> None:
        """A node is gone, and the others are told so."""
        node = self.nodes.pop(name)
        node.wire.cut = True
        self._scopes[name].cancel()
        for other in self.nodes.values():
            if orderly:
                other.presences.node_left(name)
            else:
                other.presences.node_lost(name)
        await wait_all_tasks_blocked()


@asynccontextmanager
async def net(*names: str, **settings: Any) -> AsyncIterator[Net]:
    storage = await memory_with_users()
    async with trio.open_nursery() as nursery:
        made = Net(storage, nursery, Settings(**settings))
        for name in names:
            await made.start(name)
        await trio.sleep(1)
        yield made
        nursery.cancel_scope.cancel()
