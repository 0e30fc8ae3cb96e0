"""A node: its supervision tree, top to bottom in the order in which it starts.

    node (rest_for_one)
    ├── shards                    watches the databases, and where each logical shard is
    ├── logs (one_for_one)        one group-commit writer for each database
    ├── heartbeat                 the clock of all sessions
    ├── timers
    ├── conversations (pool)      temporary, rebuilt from their shard
    ├── latecomers                introduces conversations of databases that are back
    ├── senders (pool)            for sockets that are behind
    ├── connections (pool)        temporary: clients connect again
    └── edge                      last, so that it lets in nobody before everything stands

A stop runs in the reverse order: nobody is let in, the connections end, the conversations end,
and the logs write what is left.
"""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_protocol.ids import new_id
from chat4all_storage.group_commit import ShardLog
from chat4all_storage.shard_logs import ShardLogs

from .accounts.tokens import Tokens
from .conversations import Conversations
from .edge.listener import Edge
from .fanout import LocalReaders
from .heartbeat import Heartbeat
from .kernel import Child, Pool, Strategy, Supervisor, Timers
from .latecomers import Latecomers
from .ratelimit import RateLimiter
from .session import wall_clock

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from chat4all_storage.storage import Storage

    from .config import Settings
    from .kernel import TreeNode

logger = logging.getLogger(__name__)

DRAIN_SPREAD_MS: Final = 2000
"""Clients of a draining node come back over so long a time, not all at once."""
DRAIN_PAUSE: Final = 0.5
"""Seconds between `reconnect` and the close, for clients to move over."""


class NodeStatistics(Struct, frozen=True):
    """A snapshot of a node; totals run since it (re)started."""

    connections: int
    sessions: int
    """Connections that have shown whose they are."""
    conversations: int
    """Those that are alive here."""
    stored: int
    """Events committed."""
    commits: int


class Node:
    """One server process; the `Services` of its sessions."""

    # Made anew whenever their child of the tree (re)starts; nothing outlives a restart below it.
    logs: ShardLogs
    heartbeat: Heartbeat
    local: LocalReaders
    conversations: Conversations
    edge: Edge
    _timers: Timers[tuple[str, str]]
    _rooms: Pool
    _senders: Pool
    _connections: Pool

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        jwt_key: str,
        listeners: Sequence[socket.socket],
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        """`clock` tells the seconds since the epoch."""
        self.settings = settings
        self.node_id = new_id()[:8]
        self.tokens = Tokens(jwt_key, lifetime=settings.token_lifetime, clock=clock)
        self.limiter = RateLimiter(settings.rate_messages_per_minute, settings.rate_burst)
        self.wall_clock = clock
        self._storage = storage
        self._listeners = listeners
        self._tls = tls
        self._draining = False
        self._up = False
        self._supervisor = Supervisor(
            "node",
            [
                Child("shards", self._storage.shards.run),
                Child("logs", self._run_logs),
                Child("heartbeat", self._run_heartbeat),
                Child("timers", self._run_timers),
                Child("conversations", self._run_conversations, tree=lambda: self._rooms.tree()),
                Child("latecomers", self._run_latecomers),
                Child("senders", self._run_senders, tree=lambda: self._senders.tree()),
                Child("connections", self._run_connections, tree=lambda: self._connections.tree()),
                Child("edge", self._run_edge),
            ],
            strategy=Strategy.REST_FOR_ONE,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ready when every part accepts work.

        Raises:
            RestartBudgetExceeded: a part keeps failing.
        """
        await self._supervisor.run(task_status=task_status)

    async def drain(self) -> None:
        """Let nobody in, move the clients away, finish what they have under way.

        Bounded by `drain_timeout`. Afterwards `run` can be cancelled and nothing is lost.
        """
        self._draining = True
        self.edge.stop_accepting()
        with trio.move_on_after(self.settings.drain_timeout):
            for session in list(self.edge.sessions):
                session.drain(random.randint(0, DRAIN_SPREAD_MS))
            if self.edge.sessions:
                await trio.sleep(DRAIN_PAUSE)
            for session in list(self.edge.sessions):
                session.finish()
            await self.edge.wait_empty()

    def unready(self) -> str | None:
        """What keeps this node from accepting work, if anything."""
        if self._draining:
            return "draining"
        if not self._up:
            return "starting"
        # Without the directory nobody can be looked up; without another, its conversations wait.
        directory = self._out_of_reach()[0]
        return f"database {self.logs.all[0].store.name} is out of reach" if directory else None

    def degraded(self) -> list[str]:
        """What does not work as it should, though the node accepts work."""
        if not self._up:
            return []
        return [
            f"database {log.store.name} is out of reach"
            for log, away in zip(self.logs.all, self._out_of_reach(), strict=True)
            if away
        ]

    def _out_of_reach(self) -> list[bool]:
        """Which databases can't be written or read now; the first is the directory."""
        breakers = self._storage.shards.breakers
        logs = self.logs.all
        return [log.down or breaker.open for log, breaker in zip(logs, breakers, strict=True)]

    def statistics(self) -> NodeStatistics:
        """What the node holds and has done."""
        logs = [log.statistics() for log in self.logs.all]
        return NodeStatistics(
            connections=self.edge.open,
            sessions=len(self.local),
            conversations=len(self.conversations),
            stored=sum(log.stored for log in logs),
            commits=sum(log.commits for log in logs),
        )

    def tree(self) -> TreeNode:
        """The supervision tree as it stands."""
        return self._supervisor.tree()

    # --- the children, in start order ---------------------------------------------------------

    async def _run_logs(self, *, task_status: trio.TaskStatus[None]) -> None:
        patience = self.settings.log_patience
        make = partial(ShardLog, patience=patience)
        self.logs = ShardLogs(self._storage.shards, make, patience=patience)
        children = [Child(f"log {log.store.name}", log.run) for log in self.logs.all]
        children.append(Child("moves", self.logs.run))
        # What a failed writer held can't be answered any more: the clients are to come back.
        await Supervisor("logs", children, max_restarts=0).run(task_status=task_status)

    async def _run_heartbeat(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.heartbeat = Heartbeat()
        await self.heartbeat.run(task_status=task_status)

    async def _run_timers(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._timers = Timers("timers")
        await self._timers.run(task_status=task_status)

    async def _run_conversations(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._rooms = Pool("conversations")
        self.local = LocalReaders(self.settings.max_sessions_per_user)
        self.conversations = Conversations(
            settings=self.settings,
            storage=self._storage,
            logs=self.logs,
            pool=self._rooms,
            timers=self._timers,
            local=self.local,
        )
        await self._rooms.run(task_status=task_status)

    async def _run_latecomers(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.latecomers = Latecomers(self.conversations, self.settings)
        await self.latecomers.run(task_status=task_status)

    async def _run_senders(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._senders = Pool("senders")
        await self._senders.run(task_status=task_status)

    async def _run_connections(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._connections = Pool("connections")
        await self._connections.run(task_status=task_status)

    async def _run_edge(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.edge = Edge(
            self,
            connections=self._connections,
            senders=self._senders,
            tls=self._tls,
            unready=self.unready,
            degraded=self.degraded,
        )
        self._up = True
        try:
            # A drain has closed the listeners for good.
            listeners = [] if self._draining else self._listeners
            await self.edge.run(listeners, task_status=task_status)
        finally:
            self._up = False
