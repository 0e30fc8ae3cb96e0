"""The faults: which, in which order, and when, all from one seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from tests.faults.client import Client
    from tests.faults.processes import DatabaseProcess, ServerProcess
    from tests.faults.progress import Progress

KILLS: Final = {
    "kill server": 1,
    "kill server twice": 2,
    "crash database": 1,
    "database outage": 1,
    "kill both": 2,
    "drain": 0,
    "cut sockets": 0,
}
"""How many processes each fault kills."""

DATABASE_FAULTS: Final = frozenset({"crash database", "database outage", "kill both"})

QUICK_CRASHES: Final = 4
STABLE: Final = 2.5
"""Seconds after which the keeper no longer counts a crash with those before it."""

OUTAGE: Final = 1.2
"""Seconds: twice the patience of the server's log."""


class Injected(Struct, frozen=True):
    """A fault that happened."""

    name: str
    at: float
    in_flight: int
    """Messages that were sent and not answered at that moment, of all clients."""


def schedule(rng: random.Random, kills: int, kinds: Sequence[str]) -> list[str]:
    """Every kind once, then any, until there are so many kills; in random order."""
    chosen = list(kinds)
    while sum(KILLS[name] for name in chosen) < kills:
        chosen.append(rng.choice(kinds))
    rng.shuffle(chosen)
    return chosen


class Injector:
    """Injects faults into one server, its database and its clients."""

    def __init__(
        self,
        rng: random.Random,
        *,
        server: ServerProcess,
        database: DatabaseProcess | None,
        clients: Sequence[Client],
        progress: Progress,
        least_in_flight: int,
        limit: float,
    ) -> None:
        """Without a `database` there are no faults of it.

        After `limit` seconds the system counts as one that does not recover.
        """
        self.injected: list[Injected] = []
        self._rng = rng
        self._server = server
        self._maybe_database = database
        self._clients = clients
        self._progress = progress
        self._least_in_flight = least_in_flight
        self._limit = limit
        self._crashes = 0
        self._faults: dict[str, Callable[[], Awaitable[None]]] = {
            "kill server": self._kill_server,
            "kill server twice": self._kill_server_twice,
            "crash database": self._crash_database,
            "database outage": self._database_outage,
            "kill both": self._kill_both,
            "drain": self._drain,
            "cut sockets": self._cut_sockets,
        }

    @property
    def _database(self) -> DatabaseProcess:
        assert self._maybe_database is not None
        return self._maybe_database

    async def run(self, names: Sequence[str]) -> None:
        """One fault after the other, each when the system works again and much is in flight.

        Raises:
            TooSlowError: the system does not recover.
        """
        for name in names:
            await self._rest_database(name)
            await self.recovered(self._rng.randint(20, 120))
            # Any moment between two commits, and within one.
            await trio.sleep(self._rng.uniform(0, 0.02))
            now = trio.current_time()
            self.injected.append(Injected(name, now, self._in_flight()))
            self._progress.restart()
            with trio.fail_after(self._limit):
                await self._faults[name]()

    async def _rest_database(self, name: str) -> None:
        """Let it live for a while now and then: its keeper gives up when it keeps crashing."""
        if name in DATABASE_FAULTS:
            self._crashes += 1
            if self._crashes % QUICK_CRASHES == 0:
                await self.recovered(1)
                await trio.sleep(STABLE)

    async def recovered(self, messages: int) -> None:
        """Wait until so many new messages were acknowledged, and enough are in flight.

        Raises:
            TooSlowError: the system does not recover from the last fault.
        """
        with trio.fail_after(self._limit):
            await self._progress.reach(lambda: self._progress.fresh >= messages)
            await self._progress.reach(lambda: self._in_flight() >= self._least_in_flight)

    def _in_flight(self) -> int:
        return sum(client.in_flight for client in self._clients)

    async def _kill_server(self) -> None:
        await self._server.kill()
        await trio.sleep(self._rng.choice([0, 0, self._rng.uniform(0, 0.3)]))
        await self._server.start()

    async def _kill_server_twice(self) -> None:
        """The second time while the clients come back."""
        await self._kill_server()
        await trio.sleep(self._rng.uniform(0, 0.2))
        await self._kill_server()

    async def _crash_database(self) -> None:
        await self._database.crash()

    async def _database_outage(self) -> None:
        async with self._database.outage():
            await trio.sleep(OUTAGE)

    async def _kill_both(self) -> None:
        first, second = self._database.crash, self._server.kill
        if self._rng.random() < 0.5:
            first, second = second, first
        await first()
        await trio.sleep(self._rng.uniform(0, 0.1))
        await second()
        await self._server.start()

    async def _drain(self) -> None:
        code = await self._server.drain()
        assert code == 0, f"a drained server exited with {code}"
        await self._server.start()

    async def _cut_sockets(self) -> None:
        for client in self._rng.sample(self._clients, self._rng.randint(1, 5)):
            client.cut()
