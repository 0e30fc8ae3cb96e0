"""An account whose inbox is in memory, and fakes that note what is taken from it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio
import trio.testing

from chat4all_actors.channels.inbound import kept
from chat4all_actors.channels.receiving import (
    Receiving,
)
from chat4all_connectors.incoming import Contact, Receipt, Received
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.ports.errors import Unavailable

from .scene import ACCOUNT, wall_clock_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_actors.channels.arrivals import Arrivals
    from chat4all_actors.channels.receipts import Receipts
    from chat4all_connectors.incoming import Event

HOLDER = "one"
TRIES = 3


def said(key: str, chat: str = "ana") -> Received:
    return Received(key=key, chat=chat, sender=Contact(id=chat), message=key, at=0, text=key)


def receipt(key: str, chat: str | None = "ana", reference: str | None = None) -> Receipt:
    return Receipt(key=key, chat=chat, status="read", at=0, message=key, reference=reference)


class FakeArrivals:
    """Notes what is taken; what it is to meet stands in `errors`, by key, the first first."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.again: list[str] = []
        self.last: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.held_up: dict[str, trio.Event] = {}

    async def take(self, event: Any, *, again: bool, last: bool) -> None:
        await trio.lowlevel.checkpoint()
        if (held_up := self.held_up.get(event.key)) is not None:
            await held_up.wait()
        self.again += [event.key] * again
        self.last += [event.key] * last
        if self.errors.get(event.key):
            raise self.errors[event.key].pop(0)
        self.taken.append(event.key)


class FakeReceipts:
    """Notes the receipts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.poison: set[str] = set()
        self.away = 0

    async def take(self, receipts: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        keys = [each.key for each in receipts]
        if self.poison & set(keys):
            raise RuntimeError("a defect")
        self.calls.append(keys)


class Place:
    """An account whose inbox is in memory."""

    def __init__(self) -> None:
        self.stores = memory_channels(wall_clock_ms)
        self.accounts = self.stores.accounts
        self.arrivals = FakeArrivals()
        self.receipts = FakeReceipts()
        self.under_way: set[str] = set()

    async def receive(self, *events: Event) -> None:
        await self.accounts.receive(ACCOUNT, kept(events))

    async def pending(self) -> list[str]:
        return [each.key for each in await self.accounts.pending(ACCOUNT, 10_000)]

    @asynccontextmanager
    async def working(self, holder: str = HOLDER, at_once: int = 4) -> AsyncIterator[Receiving]:
        assert await self.accounts.hold(ACCOUNT, holder, 3600)
        receiving = Receiving(
            ACCOUNT,
            holder,
            accounts=self.accounts,
            arrivals=cast("Arrivals", self.arrivals),
            receipts=cast("Receipts", self.receipts),
            under_way=lambda: self.under_way,
            tries=TRIES,
            at_once=at_once,
            interval=1.0,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving.run)
            yield receiving
            nursery.cancel_scope.cancel()
        await self.accounts.let_go(ACCOUNT, holder)

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()
