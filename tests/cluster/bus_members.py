"""Backbones on one bus in memory, with what each of them hears."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from chat4all_actors.cluster.backbone import BEAT, Backbone
from chat4all_actors.cluster.items import (
    AnyItem,
    Stands,
    encode_item,
)
from chat4all_storage.memory.bus import MemoryBus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Ear:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.items: list[tuple[str, AnyItem]] = []
        self.news: list[tuple[str, str]] = []

    def arrived(self, sender: str, items: list[AnyItem]) -> None:
        self.items += [(sender, item) for item in items]

    def joined(self, node: str) -> None:
        self.news.append(("joined", node))

    def lost(self, node: str) -> None:
        self.news.append(("lost", node))

    def left(self, node: str) -> None:
        self.news.append(("left", node))

    def missed(self, node: str) -> None:
        self.news.append(("missed", node))

    def shaken(self) -> None:
        self.news.append(("shaken", ""))

    def seqs(self) -> list[int]:
        """Of the items that came since the last call."""
        items, self.items = self.items, []
        return [item.seq for _, item in items if isinstance(item, Stands)]


class Member:
    """A backbone and its ear."""

    def __init__(self, name: str, bus: MemoryBus) -> None:
        self.backbone = Backbone(name, bus)
        self.ear = Ear()
        self.scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.backbone.run)
                await nursery.start(self.backbone.hear, self.ear)
                task_status.started()

    def tell(self, node: str, *seqs: int) -> None:
        for seq in seqs:
            self.backbone.send_nowait([node], item(seq))

    def lately(self) -> list[tuple[str, str]]:
        """The news since the last call."""
        news, self.ear.news = self.ear.news, []
        return news


def item(seq: int, padding: int = 0) -> bytes:
    return encode_item(Stands("x" * padding, seq, []))


@asynccontextmanager
async def members(*names: str) -> AsyncIterator[tuple[MemoryBus, list[Member]]]:
    """Members that know each other."""
    bus = MemoryBus()
    found = [Member(name, bus) for name in names]
    async with trio.open_nursery() as nursery:
        for member in found:
            await nursery.start(member.run)
        await trio.sleep(2 * BEAT)
        for member in found:
            member.lately()
        yield bus, found
        nursery.cancel_scope.cancel()
