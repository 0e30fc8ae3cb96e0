"""A node over memory stores with an account on the loopback channel, whose people are played."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from chat4all_actors.channels.account import Account
from chat4all_connectors.loopback.connector import Loopback
from chat4all_protocol.frames import Msg, Receipt
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.contacts import Contact
from tests.actors.harness import EPOCH, memory_with_users, person, running_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from chat4all_actors.channels.calling import Template
    from chat4all_actors.node import Node
    from chat4all_connectors.base import Connector
    from chat4all_connectors.loopback.settings import LoopbackSettings
    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.ports.deliveries import Progress
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.storage import Storage
    from tests.actors.harness import Person

ACCOUNT = "loopback"
BEA = "loopback:bea"
SOON = 2.0
"""Seconds in which everything that is to happen has happened, on the test's clock."""


def now() -> float:
    return EPOCH + trio.current_time()


class World:
    """The node, and the stage."""

    def __init__(self, node: Node, storage: Storage, loopback: Loopback, account: Account) -> None:
        self.node = node
        self.account = account
        self.storage = storage
        self.stores = storage.channels
        self.loopback = loopback
        self.stage = loopback.stage
        self.stage.person("bea", "Bea")

    async def person(self, user: str) -> Person:
        return await person(self.node, user)

    async def soon(self) -> None:
        """Let everything happen that does not wait for long."""
        await trio.sleep(SOON)

    async def with_bea(self, type_: ConversationType = "private", **more: str) -> str:
        """A conversation of Ana with Bea; its id."""
        contact = Contact(address=BEA, account=ACCOUNT, chat="bea", name="Bea")
        await self.stores.contacts.meet(contact)
        id_ = new_id()
        roles = {"ana": "member" if type_ == "private" else "owner", BEA: "member"} | more
        await self.storage.shards.create(id_, type_, None, "ana", roles)
        await self.stores.contacts.note_conversations([(ACCOUNT, "bea", id_)])
        return id_

    async def events(self, conversation: str) -> list[StoredEvent]:
        page = await self.storage.shards.page(conversation, "ana", after=0, before=None, limit=100)
        assert page is not None
        return page.events

    async def progress(self, conversation: str, seq: int) -> list[Progress]:
        return await self.stores.deliveries.progress(conversation, seq)

    async def pending(self) -> int:
        return len(await self.stores.accounts.pending(ACCOUNT, 1000))

    async def contact(self, address: str = BEA) -> Contact:
        return (await self.stores.contacts.contacts([address]))[address]


@asynccontextmanager
async def world(
    *,
    inbox: tuple[str, ...] = ("ana",),
    loopback: LoopbackSettings | None = None,
    connector: Callable[[Loopback], Connector] | None = None,
    template: Template | None = None,
    storage: Storage | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A node that runs; `connector` may be another one in front of the stage."""
    storage = storage or await memory_with_users()
    real = Loopback(loopback, clock=now)
    account = Account(
        name=ACCOUNT,
        connector=real if connector is None else connector(real),
        inbox=inbox,
        template=template,
    )
    async with running_node(storage, accounts=[account], **settings) as node:
        yield World(node, storage, real, account)


def said(somebody: Person) -> list[tuple[str, str]]:
    """Who said what, as a session was told."""
    return [
        (frame.from_, getattr(frame.body, "text", None) or "") for frame in somebody.outlet.of(Msg)
    ]


def receipts(somebody: Person) -> list[tuple[str, int, int]]:
    """Whose watermarks rose to where, as a session was told."""
    return [(frame.user, frame.recv, frame.read) for frame in somebody.outlet.of(Receipt)]


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something, on the real clock: threads have a part in it."""
    while not happened():  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.01)
