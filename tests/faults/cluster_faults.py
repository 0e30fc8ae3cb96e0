"""What happens to a cluster. Each fault ends when its method returns, or when it says so before.

A fault says which deliveries it may hold up, by `Disruption`s; most may hold up none.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from tests.faults.cluster import start_all
from tests.faults.history import Disruption

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.faults.client import Client
    from tests.faults.cluster import Cluster, Node
    from tests.faults.history import History
    from tests.faults.progress import Progress

CUT_WITHIN: Final = 20_000
"""Bytes: some frames, or the middle of one."""
OLDER: Final = 60
"""Messages by which a copy of Redis is behind."""
DIRECTORY, SHARD = 0, 1
"""The databases: the second one is only a shard."""

GO_ON: Final = {
    "freeze a node": (DIRECTORY, SHARD),
    "freeze Redis": (DIRECTORY, SHARD),
    "Redis outage": (DIRECTORY, SHARD),
    "CLIENT PAUSE": (DIRECTORY, SHARD),
    "Redis out of memory": (DIRECTORY, SHARD),
    "cut a node off from Redis": (DIRECTORY, SHARD),
    "cut a node off from the databases": (DIRECTORY, SHARD),
    "stall the clients of a node": (DIRECTORY, SHARD),
    "slow links": (DIRECTORY, SHARD),
    "shard outage": (DIRECTORY,),
    "freeze a shard": (DIRECTORY,),
}
"""In which databases messages are stored and acknowledged while a fault lasts."""

TERMINATE: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND pid <> pg_backend_pid() AND random() < 0.5"
)


class Lengths(Struct, frozen=True):
    """Seconds for which faults last."""

    pause: float = 3.0
    """Of what is silent."""
    outage: float = 6.0
    """Of what is gone."""


class ClusterFaults:
    """Breaks a cluster, and mends it."""

    def __init__(
        self,
        rng: random.Random,
        cluster: Cluster,
        history: History,
        progress: Progress,
        lengths: Lengths,
        clients: Sequence[Client],
    ) -> None:
        self.cluster = cluster
        self.violations: list[str] = []
        """What a fault has shown itself."""
        self._clients = clients
        self._rng = rng
        self._history = history
        self._progress = progress
        self._lengths = lengths
        self._ended: float | None = None
        self._afterwards: list[Node] = []
        nodes = {
            "kill a node": self._kill_node,
            "kill all nodes": self._kill_all,
            "kill a node between commit and answer": self._kill_after_commit,
            "kill a node between answer and publish": self._kill_before_telling,
            "freeze a node": self._freeze_node,
            "restart the nodes in turn": self._rolling_restart,
            "cut clients at random bytes": self._cut_clients,
            "stall the clients of a node": self._stall_clients,
        }
        redis = {
            "kill Redis": self._kill_redis,
            "kill Redis, restart it empty": self._empty_redis,
            "put Redis back in time": self._older_redis,
            "FLUSHALL": self._flush_redis,
            "freeze Redis": self._freeze_redis,
            "Redis outage": self._redis_outage,
            "CLIENT PAUSE": self._pause_redis,
            "Redis out of memory": self._fill_redis,
            "cut a node off from Redis": self._isolate_from_redis,
            "slow links": self._slow_links,
        }
        databases = {
            "crash a database": self._crash_database,
            "shard outage": self._shard_outage,
            "freeze a shard": self._freeze_shard,
            "terminate backends": self._terminate_backends,
            "lose commit replies": self._lose_replies,
            "cut a node off from the databases": self._isolate_from_databases,
        }
        self._groups: dict[str, list[str]] = {
            "nodes and databases": [*nodes, *databases],
            "Redis": list(redis),
        }
        self._by_name: Mapping[str, Callable[[], Awaitable[None]]] = nodes | redis | databases

    def names(self, chosen: Sequence[str]) -> list[str]:
        """The faults of these groups, or of these names."""
        return [name for each in chosen for name in self._groups.get(each, [each])]

    async def inject(self, name: str) -> float:
        """Let it happen; the time of its end."""
        self._ended = None
        await self._by_name[name]()
        return trio.current_time() if self._ended is None else self._ended

    async def mend(self) -> None:
        """Start again what the last fault has ended."""
        nodes, self._afterwards = self._afterwards, []
        await start_all(nodes)

    # --- what faults are made of --------------------------------------------------------------

    @contextmanager
    def _disruption(
        self, *, node: int | None = None, database: int | None = None
    ) -> Iterator[None]:
        start = trio.current_time()
        yield
        end = trio.current_time()
        self._history.disruptions.append(
            Disruption(start=start, end=end, node=node, database=database)
        )

    def _some_node(self) -> Node:
        return self._rng.choice(self.cluster.nodes)

    async def _pause(self) -> None:
        await trio.sleep(self._lengths.pause)

    async def _outage(self) -> None:
        await trio.sleep(self._lengths.outage)

    async def _several_times(self, act: Callable[[], object]) -> None:
        """Some times within a second or so, while clients go on."""
        for _ in range(6):
            act()
            await trio.sleep(self._rng.uniform(0.05, 0.4))

    # --- nodes --------------------------------------------------------------------------------

    async def _dead(self, node: Node) -> None:
        """Nothing more happens: what the others have to do begins now, if there are others."""
        if len(self.cluster.nodes) == 1:
            await node.server.start()
        else:
            self._afterwards.append(node)
            self._ended = trio.current_time()

    async def _kill_node(self) -> None:
        node = self._some_node()
        await node.server.kill()
        await self._dead(node)

    async def _kill_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for node in self.cluster.nodes:
                nursery.start_soon(node.server.kill)
        await start_all(self.cluster.nodes)

    async def _kill_after_commit(self) -> None:
        await self._let_kill_itself(signal.SIGUSR1)

    async def _kill_before_telling(self) -> None:
        await self._let_kill_itself(signal.SIGUSR2)

    async def _let_kill_itself(self, number: signal.Signals) -> None:
        """See `crash_points`."""
        node = self._some_node()
        node.server.signal(number)
        code = await node.server.wait()
        assert code == -signal.SIGKILL, f"it exited with {code}"
        await self._dead(node)

    async def _freeze_node(self) -> None:
        node = self._some_node()
        with self._disruption(node=node.number), node.server.frozen():
            await self._pause()

    async def _rolling_restart(self) -> None:
        for node in self.cluster.nodes:
            code = await node.server.drain()
            assert code == 0, f"a drained server exited with {code}"
            await node.server.start()

    # --- Redis: holds up nothing --------------------------------------------------------------

    async def _kill_redis(self) -> None:
        await self.cluster.redis.kill()
        await self.cluster.redis.start()

    async def _empty_redis(self) -> None:
        await self.cluster.redis.kill()
        self.cluster.redis.forget()
        await self.cluster.redis.start()

    async def _older_redis(self) -> None:
        self.cluster.redis.keep_copy()
        wanted = self._progress.fresh + OLDER
        await self._progress.reach(lambda: self._progress.fresh >= wanted)
        await self.cluster.redis.kill()
        self.cluster.redis.put_back_copy()
        await self.cluster.redis.start()

    async def _flush_redis(self) -> None:
        for _ in range(6):
            await self.cluster.redis.command("FLUSHALL")
            await trio.sleep(self._rng.uniform(0.05, 0.4))

    async def _freeze_redis(self) -> None:
        with self.cluster.redis.frozen():
            await self._outage()

    async def _redis_outage(self) -> None:
        await self.cluster.redis.kill()
        await self._outage()
        await self.cluster.redis.start()

    async def _pause_redis(self) -> None:
        await self.cluster.redis.command("CLIENT", "PAUSE", int(self._lengths.pause * 1000))
        await self._pause()

    async def _fill_redis(self) -> None:
        await self.cluster.redis.command("CONFIG", "SET", "maxmemory", "1kb")
        await self._pause()
        await self.cluster.redis.command("CONFIG", "SET", "maxmemory", "0")

    async def _isolate_from_redis(self) -> None:
        link = self._some_node().redis
        with link.stalled() if self._rng.random() < 0.5 else link.closed():
            await self._pause()

    # --- databases ----------------------------------------------------------------------------

    async def _crash_database(self) -> None:
        number = self._rng.randrange(len(self.cluster.databases))
        async with self._down(number):
            await self.cluster.databases[number].crash()

    async def _shard_outage(self) -> None:
        async with self._down(SHARD), self.cluster.databases[SHARD].outage():
            await self._come_without_shard("shard outage")

    async def _freeze_shard(self) -> None:
        with self._disruption(database=SHARD), self.cluster.databases[SHARD].frozen():
            await self._come_without_shard("freeze a shard")

    async def _come_without_shard(self, name: str) -> None:
        """Clients that connect while a shard is away have the rest."""
        await trio.sleep(self._lengths.outage / 6)
        comers = self._rng.sample(self._clients, 4)
        for client in comers:
            client.cut()
        await trio.sleep(self._lengths.outage * 5 / 6)
        absent = sum(client.session is None for client in comers)
        if absent:
            self.violations.append(f"8: {absent} clients could not connect: {name}")

    @asynccontextmanager
    async def _down(self, number: int) -> AsyncIterator[None]:
        """A database ends in this block, and has recovered at its end."""
        with self._disruption(database=number):
            yield
            await self.cluster.databases[number].ready()

    async def _terminate_backends(self) -> None:
        for _ in range(6):
            for database in self.cluster.databases:
                await database.execute(TERMINATE)
            await trio.sleep(self._rng.uniform(0.05, 0.4))

    async def _lose_replies(self) -> None:
        def lose() -> None:
            for node in self.cluster.nodes:
                for link in node.databases:
                    link.lose_replies()

        await self._several_times(lose)

    async def _isolate_from_databases(self) -> None:
        node = self._some_node()
        stall = self._rng.random() < 0.5
        with self._disruption(node=node.number):
            async with trio.open_nursery() as nursery:
                for link in node.databases:
                    nursery.start_soon(self._cut_off, link.stalled if stall else link.closed)

    async def _cut_off(self, how: Callable[[], AbstractContextManager[None]]) -> None:
        with how():
            await self._pause()

    async def _slow_links(self) -> None:
        node = self._some_node()
        links = [*node.databases, node.redis]
        for link in links:
            link.latency = self._rng.uniform(0.01, 0.1)
        await self._pause()
        for link in links:
            link.latency = 0.0

    # --- clients ------------------------------------------------------------------------------

    async def _cut_clients(self) -> None:
        def cut() -> None:
            for node in self.cluster.nodes:
                node.door.cut_within(CUT_WITHIN)

        await self._several_times(cut)

    async def _stall_clients(self) -> None:
        node = self._some_node()
        with self._disruption(node=node.number), node.door.stalled():
            await self._pause()
