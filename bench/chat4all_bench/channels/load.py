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
from ..result import Integrity
from .place import HANGING, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chat4all_client import Client, Outgoing

    from ..measuring.meter import Meter, Spent
    from .place import Came, Place

PATIENCE: Final = 30.0
"""Seconds in which nothing came, until what is missing is lost."""
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
    lost: int
    """Acknowledged, and not there after `PATIENCE` in which nothing came."""
    doubled: int
    reordered: int
    hung: int
    """Calls of the other account that its provider took."""

    @property
    def integrity(self) -> Integrity:
        """Whether every message is at the provider once, and in order."""
        came = self.sent - self.lost
        return Integrity(
            sent=self.sent,
            acknowledged=self.sent,
            delivered=came,
            lost=self.lost,
            doubled=self.doubled,
            reordered=self.reordered,
        )

    @property
    def rate(self) -> float:
        """Messages a second at the provider."""
        return self.sent / self.seconds if self.seconds else 0.0


class Town(Struct, frozen=True):
    """The conversations with people, in turns."""

    healthy: Iterator[str]
    hanging: Iterator[str]
    numbers: Iterator[int]
    people: int
    """Of each account: every so manieth number is of the same conversation."""


def town_of(conversations: dict[str, list[str]]) -> Town:
    """All of them, again and again."""
    healthy, hanging = (itertools.cycle(conversations[name]) for name in (HEALTHY, HANGING))
    return Town(healthy, hanging, itertools.count(1), len(conversations[HEALTHY]))


async def phase(
    place: Place,
    town: Town,
    *,
    messages: int,
    rate: float = math.inf,
    hanging_rate: float = 0.0,
) -> Phase:
    """Send so many messages, and wait until the provider has all of them."""
    before, hung = place.came(HEALTHY), place.came(HANGING).hung
    meter: Meter = meter_of(place.pid)
    acks = Histogram()
    url = place.url.replace("http", "ws", 1)
    async with (
        open_client(url, token=place.token, device="bench", pipeline=64, outbox=100_000) as client,
        trio.open_nursery() as nursery,
    ):
        if hanging_rate:
            nursery.start_soon(_also, client, town, hanging_rate)
        sent: list[int] = []
        async with trio.open_nursery() as sending:
            await _send(client, town, messages, rate, acks, sent, sending)
        found = await _come(place, len(before.at) + messages)
        spent = meter.spent()
        nursery.cancel_scope.cancel()
    hung = place.came(HANGING).hung - hung
    return _found(before, found, sent, acks, spent, hung, town.people)


async def _come(place: Place, count: int) -> Came:
    """What the provider has once it has so many, or nothing comes any more."""
    found, since = place.came(HEALTHY), trio.current_time()
    while len(found.at) < count and trio.current_time() - since < PATIENCE:
        await trio.sleep(LOOK)
        now = await trio.to_thread.run_sync(place.came, HEALTHY)
        if len(now.at) > len(found.at):
            found, since = now, trio.current_time()
    return found


def _found(
    before: Came,
    found: Came,
    sent: list[int],
    acks: Histogram,
    spent: list[Spent],
    hung: int,
    people: int,
) -> Phase:
    first = len(before.at)
    delays, at, numbers = found.delays[first:], found.at[first:], found.numbers[first:]
    histogram = Histogram()
    for delay in delays:
        histogram.add_us(delay)
    return Phase(
        sent=len(sent),
        seconds=(max(at) - min(at)) / 1e6 if at else 0.0,
        delays=histogram,
        acks=acks,
        spent=spent,
        lost=len(set(sent) - set(numbers)),
        doubled=len(numbers) - len(set(numbers)),
        reordered=reordered(numbers, people),
        hung=hung,
    )


def reordered(numbers: Sequence[int], people: int) -> int:
    """Messages that came after a later one of their conversation, which has every so manieth."""
    last: dict[int, int] = {}
    wrong = 0
    for number in numbers:
        wrong += number < last.get(number % people, 0)
        last[number % people] = max(number, last.get(number % people, 0))
    return wrong


async def _send(
    client: Client,
    town: Town,
    messages: int,
    rate: float,
    acks: Histogram,
    sent: list[int],
    nursery: trio.Nursery,
) -> None:
    began = trio.current_time()
    for number in range(messages):
        if number % 50 == 0 or rate < math.inf:
            await trio.sleep_until(began + number / rate)
        sent.append(next(town.numbers))
        nursery.start_soon(_wait, *_say(client, next(town.healthy), sent[-1]), acks)


def _say(client: Client, conversation: str, number: int) -> tuple[Outgoing, int]:
    """A message on its way, and when it was written: at once, so that all are in order."""
    began = time.monotonic_ns() // 1000
    return client.send_nowait(conversation, f"{began} {number}{WORDS}"), began


async def _wait(message: Outgoing, began: int, acks: Histogram) -> None:
    await message.wait()
    acks.add_us(time.monotonic_ns() // 1000 - began)


async def _also(client: Client, town: Town, rate: float) -> None:
    began, ignored = trio.current_time(), Histogram()
    async with trio.open_nursery() as nursery:
        for number in itertools.count():
            await trio.sleep_until(began + number / rate)
            nursery.start_soon(_wait, *_say(client, next(town.hanging), 0), ignored)
