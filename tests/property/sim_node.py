"""A place where a node runs: it is started, dies, or ends as it should, and another follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.config import Settings
from chat4all_actors.kernel import RestartBudgetExceeded
from chat4all_actors.node import Node
from chat4all_storage.memory.accounts import memory_accounts
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.sharding.shards import Shards
from chat4all_storage.storage import Storage

from .sim_bus import NodeBus
from .sim_store import FaultyShard

if TYPE_CHECKING:
    from .sim_world import World

KEY = "a key that only the simulation uses, 32 bytes long"
MOMENT = 0.25

SETTINGS = Settings(
    max_outbound=4096,
    max_inflight=4,
    max_replay_events=8,
    mailbox=4,
    log_patience=2.0,
    rate_messages_per_minute=0,
    drain_timeout=3.0,
    slow_timeout=10.0,
    heartbeat=10.0,
    heartbeat_grace=5.0,
    token_lifetime=3600.0,
)


class Place:
    """See the module."""

    def __init__(self, world: World) -> None:
        self.node: Node | None = None
        """Of whatever age; None: there is none now."""
        self._world = world
        self._scope = trio.CancelScope()
        self._handles: list[FaultyShard | NodeBus] = []

    @property
    def open(self) -> bool:
        """Whether clients get in."""
        return self.node is not None and self.node.unready() not in ("starting", "draining")

    async def start(self) -> None:
        """Put a new node here."""
        world = self._world
        stores = [FaultyShard(database) for database in world.databases]
        bus = None if world.bus is None else NodeBus(world.bus)
        self._handles = [*stores, *([] if bus is None else [bus])]
        shards = Shards(stores, world.places, world.directory)
        accounts = memory_accounts(world.directory)
        storage = Storage(
            world.directory,
            shards,
            accounts,
            MemoryFiles(),
            world.directory.webhooks,
            world.channels,
        )
        self.node = Node(SETTINGS, storage, jwt_key=KEY, listeners=[], bus=bus, clock=world.now)
        self._scope = trio.CancelScope()
        await world.nursery.start(self._run, self.node, self._scope)

    async def _run(
        self, node: Node, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]
    ) -> None:
        failed = False
        with scope:
            try:
                await node.run(task_status=task_status)
            except RestartBudgetExceeded:
                failed = True
        if failed and node is self.node:
            # The process ends; its supervisor out there starts a new one.
            self.kill()
            await self.start()

    def kill(self) -> None:
        """The node is gone at this moment."""
        for handle in self._handles:
            handle.cut = True
        for device in self._world.devices:
            if device.link is not None and device.link.node is self.node:
                device.link.hang_up()
        self._scope.cancel()
        self.node = None

    async def restart(self) -> None:
        """A rolling restart: drain, stop, start."""
        node, scope = self.node, self._scope
        if node is None or not self.open:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.drain)
            for _ in range(int(SETTINGS.drain_timeout / MOMENT) + 1):
                await self._world.pass_time(MOMENT)
        if node is self.node:
            scope.cancel()
            await wait_all_tasks_blocked()
            self.kill()
            await self.start()
