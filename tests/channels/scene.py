"""A conversation of Alice, who is a user, with Bea on a loopback channel, over memory stores."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from chat4all_actors.channels.attachments import Attachments
from chat4all_actors.channels.breaker import BreakerSettings
from chat4all_actors.channels.calling import Caller
from chat4all_actors.channels.content import Content
from chat4all_actors.channels.router import Router
from chat4all_actors.channels.sending import Pace, Sending
from chat4all_actors.conversation import appends
from chat4all_connectors.loopback.connector import Loopback
from chat4all_protocol.frames import FileBody, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.ports.contacts import Contact
from chat4all_storage.ports.files import NewFile, Verdict
from chat4all_storage.storage import memory_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.channels.calling import Template
    from chat4all_connectors.base import Connector
    from chat4all_connectors.loopback.chats import Line
    from chat4all_connectors.loopback.settings import LoopbackSettings
    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.ports.deliveries import DeliveryState
    from chat4all_storage.ports.events import Append

EPOCH = 1_700_000_000.0
ACCOUNT = "loopback"
BEA = "loopback:bea"


def wall_clock() -> float:
    return EPOCH + trio.current_time()


def wall_clock_ms() -> int:
    return int(wall_clock() * 1000)


class Scene:
    """Everything of it."""

    def __init__(self, settings: LoopbackSettings | None = None) -> None:
        self.storage = memory_storage(clock_ms=wall_clock_ms)
        self.stores = memory_channels(wall_clock_ms)
        self.loopback = Loopback(settings, clock=wall_clock)
        self.stage = self.loopback.stage
        self.stage.person("bea", "Bea")
        self.conversation = new_id()
        self.shard = self.storage.shards.all[0]
        self.content = Content(self.storage.shards, self.stores, wall_clock)
        self.busy: list[str] = []
        self.router = Router(
            self.shard,
            self.stores,
            self.content,
            {ACCOUNT: self.loopback.capabilities},
            interval=1.0,
            routed=self.busy.extend,
        )
        self.unusable: list[str] = []

    async def set(self, type_: ConversationType = "private") -> Scene:
        """Let the conversation and the contact be there."""
        await self.stores.contacts.meet(Contact(address=BEA, account=ACCOUNT, chat="bea"))
        roles = {"alice": "member" if type_ == "private" else "owner", BEA: "member"}
        await self.storage.shards.create(self.conversation, type_, None, "alice", roles)
        return self

    @classmethod
    async def where_was_said(cls, text: str = "hello") -> tuple[Scene, int]:
        """A scene in which something waits to be sent; and its seq."""
        scene = await cls().set()
        seq = await scene.say(text)
        await scene.route()
        return scene, seq

    @classmethod
    async def beside(cls, scene: Scene, person: str) -> Scene:
        """Another conversation of Alice in the same stores, with somebody else."""
        other = cls()
        other.storage, other.stores, other.shard = scene.storage, scene.stores, scene.shard
        other.content, other.router, other.stage = scene.content, scene.router, scene.stage
        scene.stage.person(person)
        address = f"{ACCOUNT}:{person}"
        await scene.stores.contacts.meet(Contact(address=address, account=ACCOUNT, chat=person))
        roles = {"alice": "member", address: "member"}
        await scene.storage.shards.create(other.conversation, "private", None, "alice", roles)
        return other

    async def file(self, name: str, content: bytes = b"bytes") -> FileBody:
        """A file of Alice's that is ready."""
        new = NewFile(new_id(), "alice", name, len(content), "image/png", None, new_id(), 64)
        files = self.storage.files
        await files.add(new, lifetime=60, quota=0, max_uploads=0)
        await files.begin_check(new.id, b"hash", holder="a", lease=60)
        await files.finish(new.id, Verdict("ready"), holder="a")
        await self.storage.objects.put(new.key, content, new.mime)
        return FileBody(new.id, None, name, new.size, new.mime)

    async def stored(self, append: Append) -> int:
        """Store an event; its seq."""
        result = await self.shard.commit([append], [])
        return result.outcomes[0].seq

    async def say(self, text: str, *, by: str = "alice", reply_to: int | None = None) -> int:
        """Store a message; its seq."""
        body = TextBody(text)
        return await self.stored(
            appends.message(self.conversation, by, new_id(), body, reply_to=reply_to)
        )

    async def route(self) -> None:
        """Let the router do what there is."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.router.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def sending(
        self,
        holder: str = "one",
        *,
        connector: Connector | None = None,
        breaker: BreakerSettings | None = None,
        template: Template | None = None,
    ) -> AsyncIterator[Sending]:
        """Send while this is open, by a holder that has the account for an hour."""
        assert await self.stores.accounts.hold(ACCOUNT, holder, 3600)
        connector = connector or self.loopback
        files, objects = self.storage.files, self.storage.objects
        attachments = Attachments(files, objects, lifetime=900, base=None)
        sending = Sending(
            ACCOUNT,
            holder,
            stores=self.stores,
            content=self.content,
            caller=Caller(connector, attachments, template),
            pace=Pace(breaker=breaker or BreakerSettings()),
            unusable=self.unusable.append,
            given_up=self.storage.shards.note_failure,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending.run)
            yield sending
            nursery.cancel_scope.cancel()

    def lines(self) -> list[Line]:
        """What Bea sees."""
        return list(self.stage.chat("bea").lines)

    def texts(self) -> list[str]:
        """The texts that Bea sees."""
        return [line.text for line in self.lines()]

    async def states(self, seq: int) -> list[DeliveryState]:
        """How far an event has come, each part of it."""
        found = await self.stores.deliveries.progress(self.conversation, seq)
        return [each.state for each in found]
