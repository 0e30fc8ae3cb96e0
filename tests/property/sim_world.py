"""The server over stores in memory, its clients, and every step of a program."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.accounts.tokens import Tokens
from chat4all_actors.kernel import ActorStopped, PoolClosed
from chat4all_actors.messages import Post
from chat4all_protocol.codec import encode_body
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Create,
    Info,
    MemberBody,
    Read,
    Recv,
    TextBody,
    Typing,
)
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import StorageError
from chat4all_storage.ports.events import Append
from chat4all_storage.ports.logical_shards import default_placement, logical_shard

from .sim_bus import FaultyBus
from .sim_client import Device
from .sim_node import KEY, MOMENT, SETTINGS, Place
from .sim_store import Database

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_protocol.frames import Error, Kind

    from .sim_bus import BusFault
    from .sim_store import Fault

Step = tuple[Any, ...]
"""The name of a `World.do_…` and its arguments; last, how far tasks run before the next step."""

EPOCH = 1_764_000_000.0
DATABASES = 2
CONVERSATIONS = [f"00000000-0000-4000-8000-0000000000{n:02x}" for n in (0, 1, 2)]
"""The first and the last are in one database, the second is in the other."""
MEMBERS = [["alice", "bob", "carol"], ["alice", "bob"], ["carol", "alice"]]
DEVICES = [("alice", "1"), ("alice", "2"), ("bob", "1"), ("carol", "1"), ("dave", "1")]
USERS = ["alice", "bob", "carol", "dave"]
ADMIN = "admin"
"""Owns every conversation, and never leaves nor connects."""
RECOVERY = 5.0
"""Seconds after the end of all faults in which everybody has everything (G7)."""


class InjectedCrash(Exception):
    """What kills a conversation on purpose."""


class _Poison:
    """A message whose handling crashes."""

    def __getattr__(self, name: str) -> Any:
        raise InjectedCrash("poison")


class SilentOrigin:
    """An origin that does not care what becomes of its posts."""

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        pass

    def refused(self, post: Post, error: Error) -> None:
        pass

    def lost(self, post: Post) -> None:
        pass


class World:
    """Everything there is; several nodes have a bus."""

    def __init__(self, nursery: trio.Nursery, clock: MockClock, nodes: int) -> None:
        self.nursery = nursery
        self.clock = clock
        self.violations: list[str] = []
        self.messages: list[Any] = []
        self.answered: dict[str, int] = {}
        """By conversation, the highest seq that any client knows."""
        self._ids = 0
        now_ms = lambda: int(self.now() * 1000)  # noqa: E731
        self.databases = [
            Database(MemoryShard(f"db-{number}", clock_ms=now_ms), self.complain)
            for number in range(DATABASES)
        ]
        self.places = default_placement(DATABASES)
        self.directory = MemoryDirectory([f"db-{index}" for index in self.places], clock_ms=now_ms)
        self.channels = memory_channels(now_ms)
        self.bus = FaultyBus() if nodes > 1 else None
        self.nodes = [Place(self) for _ in range(nodes)]
        self.devices = [
            Device(self, user, name, home=number % nodes)
            for number, (user, name) in enumerate(DEVICES)
        ]
        self._tokens = Tokens(KEY, lifetime=SETTINGS.token_lifetime, clock=self.now)

    def now(self) -> float:
        return EPOCH + trio.current_time()

    def complain(self, text: str) -> None:
        self.violations.append(f"{trio.current_time():.2f}: {text}")

    def token(self, user: str) -> str:
        return self._tokens.issue(f"id of {user}", user)

    def new_message_id(self) -> str:
        self._ids += 1
        return str(uuid.UUID(int=self._ids))

    def database_of(self, conv: str) -> Database:
        return self.databases[self.places[logical_shard(conv)]]

    def stored_head(self, conv: str) -> int:
        log = self.database_of(conv).inner._logs.get(conv)
        return 0 if log is None else len(log.events)

    def is_member(self, conv: str, user: str) -> bool:
        log = self.database_of(conv).inner._logs.get(conv)
        return log is not None and user in log.members

    # --- the nodes ----------------------------------------------------------------------------

    async def start(self) -> None:
        for user in [*USERS, ADMIN]:
            await self.directory.add_user(User(f"id of {user}", user, b""))
        for conv, members in zip(CONVERSATIONS, MEMBERS, strict=True):
            roles = {ADMIN: "owner"} | dict.fromkeys(members, "member")
            await self.database_of(conv).inner.create(conv, "group", "title", ADMIN, roles)
        for place in self.nodes:
            await place.start()
        for device in self.devices:
            device.connect()
        await wait_all_tasks_blocked()

    def open_node(self, home: int) -> Node | None:
        """The node there or, if it lets nobody in, another one."""
        places = [self.nodes[home], *self.nodes]
        return next((place.node for place in places if place.open), None)

    # --- steps: clients -----------------------------------------------------------------------

    def do_send(self, device: int, conv: int, size: int) -> None:
        text = f"{self._ids} " + "x" * size
        self.devices[device].say(CONVERSATIONS[conv], text)

    def do_burst(self, device: int, conv: int, count: int, size: int) -> None:
        for _ in range(count):
            self.do_send(device, conv, size)

    def do_retry(self, device: int) -> None:
        it = self.devices[device]
        if it.live:
            for message in list(it.outbox):
                it.send(message)

    def do_repeat(self, device: int, which: int) -> None:
        """Send a message once more that may have been answered long ago."""
        it = self.devices[device]
        mine = [message for message in self.messages if message.sender == it.user]
        if mine and it.live:
            it.send(mine[which % len(mine)])

    def do_connect(self, device: int, node: int | None = None) -> None:
        """Connect anew, to another node if one is named."""
        it = self.devices[device]
        if node is not None:
            it.home = node
        it.connect()

    def do_drop(self, device: int, abrupt: bool) -> None:
        self.devices[device].drop(abrupt=abrupt)

    def do_block(self, device: int) -> None:
        if (link := self.devices[device].link) is not None:
            link.blocked = True

    def do_drip(self, device: int, chunks: int) -> None:
        if (link := self.devices[device].link) is not None:
            link.take_queued(chunks)

    def do_unblock(self, device: int) -> None:
        if (link := self.devices[device].link) is not None:
            link.unblock()

    def do_read(self, device: int, conv: int, ahead: int) -> None:
        it, id_ = self.devices[device], CONVERSATIONS[conv]
        it.request(Read, conv=id_, seq=max(0, it.held(id_) + ahead))

    def do_recv(self, device: int, conv: int, ahead: int) -> None:
        it, id_ = self.devices[device], CONVERSATIONS[conv]
        it.request(Recv, conv=id_, seq=max(0, it.held(id_) + ahead))

    def do_typing(self, device: int, conv: int) -> None:
        self.devices[device].request(Typing, conv=CONVERSATIONS[conv])

    def do_fetch(self, device: int, conv: int) -> None:
        self.devices[device].fetch(CONVERSATIONS[conv])

    def do_info(self, device: int, conv: int) -> None:
        it = self.devices[device]
        if it.link is not None and CONVERSATIONS[conv] in it.link.allowed:
            it.request(Info, rid=it.next_rid(), conv=CONVERSATIONS[conv])

    def do_create(self, device: int, other: int) -> None:
        it = self.devices[device]
        if it.user != USERS[other]:
            it.request(Create, rid=it.next_rid(), type="private", members=[USERS[other]])

    # --- steps: operators and members ---------------------------------------------------------

    def do_kick(self, device: int) -> None:
        link = self.devices[device].link
        if link is not None and not link.over:
            link.session.close(CloseCode.KICKED, "kicked by an operator")

    def do_leave(self, conv: int, user: int, node: int = 0) -> None:
        self._change(conv, user, "leave", None, node)

    def do_join(self, conv: int, user: int, node: int = 0) -> None:
        self._change(conv, user, "join", "member", node)

    def _change(self, conv: int, user: int, kind: Kind, role: str | None, node: int) -> None:
        append = Append(
            conversation=CONVERSATIONS[conv],
            sender=ADMIN,
            id=self.new_message_id(),
            kind=kind,
            body=encode_body(MemberBody(USERS[user], role)),
            digest=0,
            subject=USERS[user],
            role=role,
        )
        through = self.nodes[node].node
        if through is not None and through.unready() != "starting":
            self.nursery.start_soon(self._post, through, append)

    async def _post(self, node: Node, append: Append) -> None:
        conversations, id_ = node.conversations, append.conversation
        try:
            with conversations.heads.reading():
                stored = await conversations.storage.shards.conversation(id_)
                assert stored is not None
                actor = conversations._awake(id_, stored.head, stored.type)
            actor.reply_nowait(Post(append, 0, SilentOrigin()))
        except (StorageError, PoolClosed, ActorStopped):
            pass  # asked for at a bad time: the administrator gives up

    # --- steps: faults ------------------------------------------------------------------------

    async def do_crash_node(self, node: int = 0) -> None:
        self.nodes[node].kill()
        await self.nodes[node].start()

    def do_kill_node(self, node: int) -> None:
        self.nodes[node].kill()

    async def do_start_node(self, node: int) -> None:
        if self.nodes[node].node is None:
            await self.nodes[node].start()

    async def do_restart_node(self, node: int = 0) -> None:
        await self.nodes[node].restart()

    def do_crash_conversation(self, conv: int, node: int = 0) -> None:
        at = self.nodes[node].node
        if at is None or at.unready() == "starting":
            return
        actor = at.conversations._alive.get(CONVERSATIONS[conv])
        if actor is not None:
            with suppress(ActorStopped):
                actor.reply_nowait(_Poison())  # type: ignore[arg-type] # no session could send it

    def do_fault(self, database: int, fault: Fault) -> None:
        self.databases[database].faults.append(fault)

    def do_down(self, database: int) -> None:
        self.databases[database].down = True

    def do_up(self, database: int) -> None:
        self.databases[database].down = False

    def do_lag(self, database: int, before: float, after: float) -> None:
        it = self.databases[database]
        it.lag_before, it.lag_after = before, after

    def do_bus_down(self) -> None:
        assert self.bus is not None
        self.bus.inner.down = True

    def do_bus_up(self) -> None:
        assert self.bus is not None
        self.bus.inner.down = False

    def do_bus_forget(self) -> None:
        assert self.bus is not None
        self.bus.inner.forget()

    def do_bus_rewind(self, entries: int) -> None:
        assert self.bus is not None
        self.bus.rewind(entries)

    def do_bus_fault(self, fault: BusFault, times: int) -> None:
        assert self.bus is not None
        self.bus.faults.extend([fault] * times)

    def do_bus_lag(self, seconds: float) -> None:
        assert self.bus is not None
        self.bus.lag = seconds

    async def do_foreign(self, conv: int) -> None:
        """Another writer stores something, of which only the journal tells."""
        id_ = CONVERSATIONS[conv]
        body = encode_body(TextBody("from elsewhere"))
        append = Append(id_, ADMIN, self.new_message_id(), "message", body, digest=0)
        await self.database_of(id_).inner.commit([append], [])

    # --- time ---------------------------------------------------------------------------------

    async def do_wait(self, seconds: float) -> None:
        while seconds > 0:
            await self.pass_time(min(seconds, 2 * MOMENT))
            seconds -= 2 * MOMENT

    async def do_stall(self, seconds: float) -> None:
        """The whole process hangs, or its machine sleeps."""
        await self.pass_time(seconds)

    async def pass_time(self, seconds: float) -> None:
        self.clock.jump(seconds)
        await wait_all_tasks_blocked()
        for device in self.devices:
            device.poll()
        await wait_all_tasks_blocked()

    async def perform(self, step: Step) -> None:
        name, *arguments, pause = step
        done = getattr(self, f"do_{name}")(*arguments)
        if done is not None:
            await done
        if pause is None:
            await wait_all_tasks_blocked()
        else:
            for _ in range(pause):
                await trio.lowlevel.checkpoint()

    # --- the end ------------------------------------------------------------------------------

    async def heal(self) -> None:
        """All faults end; then everybody has `RECOVERY` seconds."""
        for database in self.databases:
            database.heal()
        if self.bus is not None:
            self.bus.heal()
        for node in range(len(self.nodes)):
            await self.do_start_node(node)
        for device in self.devices:
            for link in device.links():
                link.unblock()
            device.offline = False
        await wait_all_tasks_blocked()
        for _ in range(int(RECOVERY / MOMENT)):
            await self.pass_time(MOMENT)
