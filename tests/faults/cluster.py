"""Several nodes over several databases and a Redis, with a proxy on every link.

Each node has links of its own: one for its clients, one to each database, one to Redis. So each can
be cut off from anything while the others are not.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import IO, TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import trio
from msgspec import Struct

from chat4all_storage.embedded.embedded import open_embedded
from tests.faults.processes import DatabaseProcess, server_log, server_process
from tests.faults.proxy import open_proxy, tcp, unix
from tests.faults.redis_process import redis_process

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.faults.processes import ServerProcess
    from tests.faults.proxy import Proxy
    from tests.faults.redis_process import RedisProcess


class Node(Struct, frozen=True):
    """A node and its links."""

    number: int
    server: ServerProcess
    door: Proxy
    """Where its clients come in."""
    databases: list[Proxy]
    redis: Proxy


class Cluster(Struct, frozen=True):
    """Everything that can be broken."""

    nodes: list[Node]
    databases: list[DatabaseProcess]
    redis: RedisProcess
    log: IO[bytes]

    @property
    def ports(self) -> list[int]:
        """Where clients can connect, by node."""
        return [node.door.port for node in self.nodes]

    @property
    def dsns(self) -> list[str]:
        """The databases themselves."""
        return [database.dsn for database in self.databases]


@asynccontextmanager
async def open_cluster(
    directory: Path, rng: random.Random, launcher: Sequence[str], *, nodes: int, databases: int
) -> AsyncIterator[Cluster]:
    """A cluster that accepts clients, all of it in `directory`."""
    async with AsyncExitStack() as stack:
        log = stack.enter_context(server_log(directory))
        redis = await stack.enter_async_context(redis_process(directory / "redis"))
        processes: list[DatabaseProcess] = []
        for number in range(databases):
            data_dir = directory / f"database{number}"
            await stack.enter_async_context(open_embedded(data_dir, redis=False))
            processes.append(DatabaseProcess(data_dir))
        cluster = Cluster([], processes, redis, log)
        for number in range(nodes):
            node = await _open_node(stack, cluster, directory, rng, launcher, number)
            cluster.nodes.append(node)
        yield cluster


async def _open_node(
    stack: AsyncExitStack,
    cluster: Cluster,
    directory: Path,
    rng: random.Random,
    launcher: Sequence[str],
    number: int,
) -> Node:
    to_databases: list[Proxy] = []
    arguments = ["--data-dir", str(directory / f"node{number}")]
    for dsn in cluster.dsns:
        proxy = await stack.enter_async_context(open_proxy(unix(_socket(dsn)), rng))
        to_databases.append(proxy)
        arguments += ["--postgres", _through(dsn, proxy)]
    to_redis = await stack.enter_async_context(open_proxy(tcp(cluster.redis.port), rng))
    arguments += ["--redis", f"redis://127.0.0.1:{to_redis.port}/0"]
    server = await stack.enter_async_context(server_process(launcher, arguments, cluster.log))
    door = await stack.enter_async_context(open_proxy(tcp(server.port), rng))
    return Node(number, server, door, to_databases, to_redis)


def _socket(dsn: str) -> str:
    """The unix socket of an embedded database."""
    (directory,) = parse_qs(urlsplit(dsn).query)["host"]
    return f"{directory}/.s.PGSQL.5432"


def _through(dsn: str, proxy: Proxy) -> str:
    """The same database through a proxy, which carries no TLS."""
    parts = urlsplit(dsn)
    return f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"


async def start_all(nodes: Sequence[Node]) -> None:
    """Start nodes at once; all listen then."""
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.server.start)
