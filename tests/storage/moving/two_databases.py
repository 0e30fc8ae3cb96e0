"""Two databases, and a node that has conversations in them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.moving.move import MoveReport, ShardMove
from chat4all_storage.sharding.shard_logs import ShardLogs
from chat4all_storage.storage import Storage, open_postgres
from tests.storage.builders import (
    append,
    conversation_of,
    events,
    fill,
    new_conversation,
)
from tests.storage.scripted_store import Inbox
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.log.entries import Answer, Entry
    from chat4all_storage.ports.events import Status, StoredEvent
    from chat4all_storage.ports.shard import Conversation

SHARD = 4


class Two:
    """Two databases, of which the first has the shard."""

    def __init__(self, dsns: list[str]) -> None:
        self.dsns = dsns
        self.names = [str(fetch(dsn, "SELECT name FROM database_identity")[0][0]) for dsn in dsns]

    def move(self, to: int = 1, **options: Any) -> ShardMove:
        named = dict(zip(self.names, self.dsns, strict=True))
        return ShardMove(named, SHARD, self.names[to], **options)

    def fence(self, database: int) -> str | None:
        rows = fetch(self.dsns[database], "SELECT state FROM shard_fences WHERE shard = $1", SHARD)
        return rows[0][0] if rows else None

    def left(self, database: int) -> list[int]:
        """How many conversations, members and events of the shard a database holds."""
        return [
            fetch(self.dsns[database], query, SHARD)[0][0]
            for query in (
                "SELECT count(*) FROM conversations WHERE shard = $1",
                "SELECT count(*) FROM members WHERE logical_shard(conversation) = $1",
                "SELECT count(*) FROM events WHERE logical_shard(conversation) = $1",
            )
        ]


class Answers(Inbox):
    """Tells when so many answers have come."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._more = trio.lowlevel.ParkingLot()

    def receive(self, answers: list[tuple[Entry[Any], Answer]]) -> None:
        super().receive(answers)
        self.count += len(answers)
        self._more.unpark_all()

    async def wait(self, count: int) -> None:
        while self.count < count:
            await self._more.park()


@asynccontextmanager
async def a_node(bridge: Bridge, two: Two) -> AsyncIterator[tuple[Storage, ShardLogs]]:
    """What a node runs of this."""
    async with open_postgres(bridge, two.dsns) as storage, trio.open_nursery() as nursery:
        logs = ShardLogs(storage.shards, partial(ShardLog, patience=20), patience=20)
        await nursery.start(storage.shards.run)
        for log in logs.all:
            await nursery.start(log.run)
        await nursery.start(logs.run)
        yield storage, logs
        nursery.cancel_scope.cancel()


async def run(bridge: Bridge, move: ShardMove) -> MoveReport:
    return await bridge.call(move.run, timeout=120)


async def filled(storage: Storage, count: int = 3) -> list[str]:
    """Conversations of the shard and of another one, of every kind."""
    store = storage.shards.all[0]
    made: list[str] = []
    for number in range(count):
        id_ = await new_conversation(
            store, "ann", "bob", id=conversation_of(SHARD), title=f"{number}"
        )
        await fill(store, id_, "ann", number)
        made.append(id_)
    await new_conversation(store, "ann", id=conversation_of(SHARD + 2))
    return made


Everything = list[tuple["Conversation | None", "list[StoredEvent]"]]


async def everything(storage: Storage, ids: list[str]) -> Everything:
    return [
        (await storage.shards.conversation(id_), await events(storage.shards.of(id_), id_))
        for id_ in ids
    ]


async def store_one(storage: Storage, id_: str) -> Status:
    result = await storage.shards.of(id_).commit([append(id_, "ann")], [])
    return result.outcomes[0].status
