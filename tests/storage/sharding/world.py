"""Databases in memory between which a logical shard moves, and what writes to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chat4all_storage.log.entries import Entry, Refused
from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.ports.events import Outcome
from chat4all_storage.ports.logical_shards import default_placement, logical_shard
from chat4all_storage.sharding.shard_logs import ShardLogs
from chat4all_storage.sharding.shards import Shards
from tests.storage.scripted_store import Inbox, ScriptedStore

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append, Status

PATIENCE = 5.0
SHARD = 4


class World:
    """Two databases whose commits take a second, and one logical shard that moves."""

    def __init__(self) -> None:
        self.a, self.b = ScriptedStore(), ScriptedStore()
        self.a.name, self.b.name = "a", "b"
        self.directory = MemoryDirectory(["a", "b"] * 32)
        self.shards = Shards([self.a, self.b], default_placement(2), self.directory)
        make = partial(ShardLog, patience=PATIENCE)
        self.logs = ShardLogs(self.shards, make, patience=PATIENCE)
        self.inbox = Inbox()

    def submit(self, *appends: Append) -> None:
        for each in appends:
            self.logs.submit_nowait(Entry(each, self.inbox.receive, None))

    def freeze(self) -> None:
        self.a.frozen_shards.add(SHARD)

    def move(self) -> None:
        self.freeze()
        self.a.moved_shards.add(SHARD)
        for id_ in [id_ for id_ in self.a._logs if logical_shard(id_) == SHARD]:
            self.b._logs[id_] = self.a._logs.pop(id_)

    def tell(self) -> None:
        self.directory.placed[SHARD] = "b"

    @property
    def outcomes(self) -> list[tuple[Status, int]]:
        return [
            (answer.status, answer.seq)
            for answer in self.inbox.answers
            if isinstance(answer, Outcome)
        ]

    @property
    def reasons(self) -> list[str]:
        """Why everything was refused."""
        assert all(isinstance(answer, Refused) for answer in self.inbox.answers)
        return [str(answer.error) for answer in self.inbox.answers if isinstance(answer, Refused)]
