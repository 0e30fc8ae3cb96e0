"""Nodes with one tally, without anything else of a node."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.limits.gcra import Rate, RateLimiter
from chat4all_actors.limits.in_step import ROUND, InStep
from chat4all_storage.memory.tally import MemoryTally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chat4all_storage.ports.tally import Standing, Usage

RATE = Rate(100, 20)
MINUTE = 60.0


class SpiedTally(MemoryTally):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[Usage]] = []

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        self.asked.append(list(usages))
        return await super().exchange(node, usages)


class Node:
    """One node's limiter of messages, and its part in keeping it in step."""

    def __init__(self, name: str, tally: MemoryTally | None, rate: Rate = RATE) -> None:
        self.limiter = RateLimiter(rate.per_minute, rate.burst)
        self.peers: int | None = 0
        self.in_step = InStep(
            {"messages": self.limiter},
            tally,
            secret="the cluster's",
            node=lambda: name,
            peers=lambda: self.peers,
        )
        self.scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            await self.in_step.run(task_status=task_status)

    def flood(self, key: str = "ana", *, most: float = math.inf) -> int:
        """Take as much as there is, at once."""
        taken = 0
        while taken < most and self.limiter.take(key) == 0.0:
            taken += 1
        return taken


@asynccontextmanager
async def cluster(
    count: int, tally: MemoryTally | None = None, rate: Rate = RATE
) -> AsyncIterator[list[Node]]:
    tally = tally or MemoryTally()
    nodes = [Node(f"node {number}", tally, rate) for number in range(count)]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            node.peers = count - 1
            await nursery.start(node.run)
        yield nodes
        nursery.cancel_scope.cancel()


async def rounds(seconds: float = 2 * ROUND) -> None:
    await trio.sleep(seconds)
    await wait_all_tasks_blocked()
