"""A node: its supervision tree, top to bottom in the order in which it starts.

    node (rest_for_one)
    ├── shards                    watches the databases, and where each logical shard is
    ├── logs (one_for_one)        one group-commit writer for each database
    ├── heartbeat                 the clock of all sessions
    ├── timers
    ├── backbone                  beats, and tells the other nodes
    ├── conversations (pool)      temporary, rebuilt from their shard
    ├── retention (one_for_one)   empties what is kept no longer, erases users
    ├── files (rest_for_one)      checks uploads, lets unused files go
    ├── latecomers                introduces conversations of databases that are back
    ├── presence                  who is there, and who is to know
    ├── senders (pool)            for sockets that are behind
    ├── pump                      reads the WebSockets
    ├── connections (pool)        temporary: clients connect again
    ├── news (one_for_one)        hears the other nodes, follows journals, shares limits, …
    ├── webhooks (rest_for_one)   tells programs what happens
    ├── channels (one_for_one)    other messengers: what leaves, what comes in
    └── edge                      last, so that it lets in nobody before everything stands

A stop runs in the reverse order: nobody is let in, the connections end, the conversations end,
the other nodes are told so, and the logs write what is left.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.sharding.shard_logs import ShardLogs

from .accounts.desk import Desk
from .channels.addressees import Addressees
from .channels.channels import Channels, disconnect
from .cluster.backbone import Backbone
from .cluster.cluster import Cluster
from .conversation.conversations import Conversations
from .drain import LEAVING, empty
from .edge.http.docs import Docs
from .edge.http.health import Health
from .edge.http.transfers import transfers_of
from .edge.listener import Edge
from .edge.pump import Pump
from .edge.rest.api import GROUPS
from .edge.rest.app import build
from .edge.rest.event_data import EventData
from .fanout import LocalReaders
from .files.files import Files
from .files.kinds import Kinds
from .kernel import Child, Pool, Strategy, Supervisor, Timers
from .limits.admission import Turnstile
from .limits.in_step import InStep
from .limits.limits import Limits
from .news import hearing
from .presence.presence import Presences
from .presence.roster import Roster
from .session.heartbeat import Heartbeat
from .session.latecomers import Latecomers
from .session.revocations import Revocations
from .statistics import NodeStatistics, snapshot
from .upkeep.erasure import Eraser
from .upkeep.retention import Retention
from .webhooks.service import WebhookService
from .wire import framed, progress

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from chat4all_protocol.frames import ServerFrame
    from chat4all_storage.ports.bus import Bus
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.tally import Tally
    from chat4all_storage.storage import Storage

    from .channels.account import Account
    from .config import Settings
    from .files.service import FileService
    from .kernel import TreeNode

logger = logging.getLogger(__name__)


class Node:
    """One server process; the `Services` of its sessions."""

    # Made anew whenever their child of the tree (re)starts; nothing outlives a restart below it.
    logs: ShardLogs
    heartbeat: Heartbeat
    backbone: Backbone
    cluster: Cluster
    local: LocalReaders
    revocations: Revocations
    conversations: Conversations
    roster: Roster
    presence: Presences
    files: FileService
    webhooks: WebhookService
    channels: Channels
    edge: Edge
    _timers: Timers[tuple[str, str]]
    _rooms: Pool
    _senders: Pool
    _pump: Pump
    _connections: Pool

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        jwt_key: str,
        listeners: Sequence[socket.socket],
        bus: Bus | None = None,
        tally: Tally | None = None,
        admin_listeners: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
        accounts: Sequence[Account] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`bus` is the way to other nodes, `tally` keeps the rate limits in step with theirs.

        `clock` tells the seconds since the epoch.

        The `accounts` on channels are connected, and in the end disconnected.
        A drain closes the `listeners`; the `admin_listeners`, for plain requests only, are open
        until the end.
        """
        self.settings = settings
        self.node_id = new_id()[:8]
        self.limits = Limits(settings)
        self._in_step = InStep(
            self.limits.limiters,
            tally,
            secret=jwt_key,
            node=lambda: self.node_id,
            peers=self._living_peers,
            at_least=settings.workers,
        )
        self.desk = Desk(
            settings,
            storage,
            key=jwt_key,
            clock=clock,
            throttle=self.limits.take,
            ended=lambda ended: self.revocations.end(ended),
        )
        self.tokens = self.desk.tokens
        self.resumes = Turnstile(
            settings.max_connecting, settings.max_connecting_waiting, settings.connecting_patience
        )
        self.wall_clock = clock
        self._accounts = {account.name: account for account in accounts}
        self._storage = storage
        self._bus = bus
        self._listeners = listeners
        self._admin_listeners = admin_listeners
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
                Child("backbone", self._run_backbone),
                Child("conversations", self._run_conversations, tree=lambda: self._rooms.tree()),
                Child("retention", self._run_retention),
                Child("files", self._run_files),
                Child("latecomers", self._run_latecomers),
                Child("presence", self._run_presence),
                Child("senders", self._run_senders, tree=lambda: self._senders.tree()),
                Child("pump", self._run_pump),
                Child("connections", self._run_connections, tree=lambda: self._connections.tree()),
                Child("news", self._run_news),
                Child("webhooks", self._run_webhooks),
                Child("channels", self._run_channels, tree=lambda: self.channels.tree()),
                Child("edge", self._run_edge),
            ],
            strategy=Strategy.REST_FOR_ONE,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ready when every part accepts work.

        Raises:
            RestartBudgetExceeded: a part keeps failing.
        """
        try:
            await self._supervisor.run(task_status=task_status)
        finally:
            await disconnect(self._accounts.values())

    async def drain(self) -> None:
        """Let nobody in, move the clients away, finish what they have under way.

        Bounded by `drain_timeout`. Afterwards `run` can be cancelled and nothing is lost; the node
        leaves the cluster then.
        """
        self._draining = True
        await empty(self.edge, self.settings.drain_timeout, alone=self.cluster.alone)

    def unready(self) -> str | None:
        """What keeps this node from accepting work, if anything."""
        if self._draining:
            return "draining"
        if not self._up:
            return "starting"
        away = self._out_of_reach()
        if len(away) < len(self.logs.all):
            return None
        return f"database {', '.join(away)} is out of reach"

    def degraded(self) -> list[str]:
        """What does not work as it should, though the node accepts work."""
        if not self._up:
            return []
        reasons = [f"database {name} is out of reach" for name in self._out_of_reach()]
        if self.backbone.trouble is not None:
            reasons.append(f"events of other nodes come late: {self.backbone.trouble}")
        return reasons + self.channels.troubles()

    def _living_peers(self) -> int | None:
        """How many other nodes live, if that can be known now."""
        if not self.backbone.configured:
            return 0
        return len(self.backbone.peers.living) if self.backbone.working else None

    def _out_of_reach(self) -> list[str]:
        """The databases that can't be written or read now."""
        logs, breakers = self.logs.all, self._storage.shards.breakers
        return [
            log.store.name
            for log, breaker in zip(logs, breakers, strict=True)
            if log.down or breaker.open
        ]

    def tell(self, user: str, frame: ServerFrame) -> None:
        """Let a user's sessions know something, on every node; best effort, and never waits."""
        self.local.tell(user, data := framed(frame))
        self.cluster.tells(user, data)

    def statistics(self) -> NodeStatistics:
        """What the node holds and has done."""
        return snapshot(self)

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

    async def _run_backbone(self, *, task_status: trio.TaskStatus[None]) -> None:
        # A restart is another node to the others: what the former one told is over.
        self.node_id = new_id()[:8]
        self.backbone = Backbone(self.node_id, self._bus)
        self.roster = Roster(self.node_id)
        self.cluster = Cluster(self.backbone, self.roster)
        try:
            await self.backbone.run(task_status=task_status)
        finally:
            with trio.move_on_after(LEAVING * self.settings.drain_timeout, shield=True):
                await self.backbone.leave()

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
            relay=self.cluster,
            outside=Addressees(self._storage.channels.contacts, self._accounts),
        )
        self.revocations = Revocations(self.local)
        await self._rooms.run(task_status=task_status)

    async def _run_presence(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.presence = Presences(
            settings=self.settings,
            storage=self._storage,
            roster=self.roster,
            local=self.local,
            carrier=self.cluster,
            clock=self.wall_clock,
        )
        await self.presence.run(task_status=task_status)

    async def _run_retention(self, *, task_status: trio.TaskStatus[None]) -> None:
        storage, interval = self._storage, self.settings.retention_interval
        shards = storage.shards.all
        contacts = storage.channels.contacts
        eraser = Eraser(storage.accounts.erasures, contacts, storage.files, shards)
        each = [Child(f"retention {one.name}", Retention(one, interval).run) for one in shards]
        tree = Supervisor("retention", [*each, Child("erasures", eraser.run)])
        await tree.run(task_status=task_status)

    async def _run_files(self, *, task_status: trio.TaskStatus[None]) -> None:
        def told(file: File) -> None:
            self.tell(file.owner, progress(file, file.size))

        holder, clock = self.node_id, self.wall_clock
        files = Files(self.settings, self._storage, holder=holder, told=told, clock=clock)
        self.files = files
        await files.run(task_status=task_status)

    async def _run_latecomers(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.latecomers = Latecomers(self.conversations, self.settings)
        await self.latecomers.run(task_status=task_status)

    async def _run_senders(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._senders = Pool("senders")
        await self._senders.run(task_status=task_status)

    async def _run_pump(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._pump = Pump()
        await self._pump.run(task_status=task_status)

    async def _run_connections(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._connections = Pool("connections")
        await self._connections.run(task_status=task_status)

    async def _run_news(self, *, task_status: trio.TaskStatus[None]) -> None:
        children = hearing(
            self.conversations,
            self.presence,
            self.revocations,
            backbone=self.backbone,
            cluster=self.cluster,
            desk=self.desk,
            in_step=self._in_step,
            clock=self.wall_clock,
        )
        await Supervisor("news", children).run(task_status=task_status)

    async def _run_webhooks(self, *, task_status: trio.TaskStatus[None]) -> None:
        data, clock = EventData(self._storage), self.wall_clock
        seal, storage = self.desk.sealing, self._storage
        make, there = partial(WebhookService, self.settings, storage, seal, data), self.presence
        self.webhooks = make(clock=clock, there=there)
        await self.webhooks.run(task_status=task_status)

    async def _run_channels(self, *, task_status: trio.TaskStatus[None]) -> None:
        rooms, clock = self.conversations, self.wall_clock
        seal, take = self.desk.sealing, self.limits.take
        self.channels = Channels(
            rooms, self.files, self._accounts, seal, take, node=self.node_id, clock=clock
        )
        await self.channels.run(task_status=task_status)

    async def _run_edge(self, *, task_status: trio.TaskStatus[None]) -> None:
        judge = Kinds(self.settings.file_types).judge
        self.edge = Edge(
            self,
            connections=self._connections,
            senders=self._senders,
            pump=self._pump,
            tls=self._tls,
            health=Health(self.unready, self.degraded),
            app=Docs(build(self, GROUPS, version=version("chat4all"))),
            transfers=transfers_of(self._storage.objects, self.settings, judge_head=judge),
        )
        self._up = True
        try:
            # A drain has closed the listeners for good.
            listeners = [] if self._draining else self._listeners
            await self.edge.run(listeners, self._admin_listeners, task_status=task_status)
        finally:
            self._up = False
