"""Messages of one user to many people, at a rate or as fast as they are taken."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from chat4all_client import open_client

from ..histogram import Histogram
from ..measuring.meter import meter_of
from .place import HANGING, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chat4all_client import Client

    from ..measuring.meter import Meter, Spent
    from .place import Place

LOOK: Final = 0.1
"""Seconds between two looks at what the provider has."""
WORDS: Final = " is when this was written, and this is what it says: a hundred characters or so"


class Phase(Struct):
    """What one phase has found."""

    sent: int
    seconds: float
    """From the first message at the provider to the last."""
    delays: Histogram
    """From when a message was written until the provider had it."""
    acks: Histogram
    spent: list[Spent]

    @property
    def rate(self) -> float:
        """Messages a second at the provider."""
        return self.sent / self.seconds if self.seconds else 0.0


class Town(Struct, frozen=True):
    """The conversations with people, in turns."""

    healthy: Iterator[str]
    hanging: Iterator[str]


def town_of(conversations: dict[str, list[str]]) -> Town:
    """All of them, again and again."""
    return Town(itertools.cycle(conversations[HEALTHY]), itertools.cycle(conversations[HANGING]))


async def phase(
    place: Place,
    town: Town,
    *,
    messages: int,
    rate: float = math.inf,
    hanging_rate: float = 0.0,
) -> Phase:
    """Send so many messages, and wait until the provider has all of them."""
    before = len(place.came(HEALTHY)[0])
    meter: Meter = meter_of(place.pid)
    acks = Histogram()
    url = place.url.replace("http", "ws", 1)
    async with (
        open_client(url, token=place.token, device="bench", pipeline=64, outbox=100_000) as client,
        trio.open_nursery() as nursery,
    ):
        if hanging_rate:
            nursery.start_soon(_also, client, town.hanging, hanging_rate)
        async with trio.open_nursery() as sending:
            await _send(client, town.healthy, messages, rate, acks, sending)
        found = place.came(HEALTHY)
        while len(found[0]) < before + messages:
            await trio.sleep(LOOK)
            found = await trio.to_thread.run_sync(place.came, HEALTHY)
        spent = meter.spent()
        nursery.cancel_scope.cancel()
    return _found(found[0][before:], found[1][before:], acks, spent)


def _found(delays: Sequence[int], at: Sequence[int], acks: Histogram, spent: list[Spent]) -> Phase:
    histogram = Histogram()
    for delay in delays:
        histogram.add_us(delay)
    return Phase(len(delays), (max(at) - min(at)) / 1e6, histogram, acks, spent)


async def _send(
    client: Client,
    conversations: Iterator[str],
    messages: int,
    rate: float,
    acks: Histogram,
    nursery: trio.Nursery,
) -> None:
    began = trio.current_time()
    for number in range(messages):
        if number % 50 == 0 or rate < math.inf:
            await trio.sleep_until(began + number / rate)
        nursery.start_soon(_say, client, next(conversations), acks)


async def _say(client: Client, conversation: str, acks: Histogram) -> None:
    began = time.monotonic_ns() // 1000
    await client.send(conversation, f"{began}{WORDS}")
    acks.add_us(time.monotonic_ns() // 1000 - began)


async def _also(client: Client, conversations: Iterator[str], rate: float) -> None:
    began, ignored = trio.current_time(), Histogram()
    async with trio.open_nursery() as nursery:
        for number in itertools.count():
            await trio.sleep_until(began + number / rate)
            nursery.start_soon(_say, client, next(conversations), ignored)
