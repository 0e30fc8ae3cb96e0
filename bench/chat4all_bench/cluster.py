"""Several nodes: what workers add, what the hop to another node costs, and a large group on three.

Everything stands on one PostgreSQL and one Redis. Rounds of what is compared are interleaved.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import statistics
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import redis

from .accounts import tokens
from .chat import (
    PAIRS,
    Client,
    closed_loop,
    leave,
    lost_by,
    open_loop,
    quantile,
    set_up,
    settle,
)
from .processes import cpu_seconds, embedded_servers, server_process, with_descendants

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from chat4all_storage.embedded import Addresses

WORKERS: Final = (1, 2, 4)
WINDOW: Final = 8
RATE: Final = 500
"""Messages a second at which the hop is measured: no queue is in it."""
ROUNDS: Final = 3
SECONDS: Final = 4.0
MEMBERS: Final = 1000
GROUP_NODES: Final = 3
GROUP_MESSAGES: Final = 100
SETTLING: Final = 2.0
"""Seconds in which nodes get to know each other and their users."""
IDLE: Final = 5.0
"""Seconds over which the entries are counted that no message causes."""

Line = dict[str, Any]


def run(data_dir: str) -> Iterator[Line]:
    """All three measurements; each line has `lost` and `errors`."""
    env = os.environ | {
        "CHAT4ALL_BCRYPT_COST": "4",
        "CHAT4ALL_RATE_MESSAGES_PER_MINUTE": "0",
        "CHAT4ALL_RATE_HANDSHAKES_PER_MINUTE": "0",
        "CHAT4ALL_HANDSHAKE_RATE": "10000",
        "CHAT4ALL_HANDSHAKE_BURST": "10000",
        "CHAT4ALL_JWT_KEY": secrets.token_hex(32),
    }
    with embedded_servers(data_dir) as servers:
        place = ["--postgres", servers.postgres_dsn, "--data-dir", data_dir]
        needed = 2 * PAIRS * (ROUNDS * len(WORKERS) + 1)
        names = [f"bench-{number}" for number in range(max(MEMBERS, needed))]
        access = tokens(place, names, env)
        bench = _Bench(servers, place, env, names, access)
        yield from bench.workers()
        yield from bench.hop()
        yield bench.group()


class _Bench:
    def __init__(
        self,
        servers: Addresses,
        place: list[str],
        env: dict[str, str],
        names: list[str],
        access: list[str],
    ) -> None:
        self._servers = servers
        self._command = ["-m", "chat4all_actors", "serve", "--port", "0"]
        self._command += [*place, "--redis", servers.redis_url]
        self._env = env
        self._names = names
        self._access = access
        self._met = 0

    def _strangers(self, count: int) -> tuple[list[str], list[str]]:
        """So many users who have no conversation yet, and their tokens."""
        first, self._met = self._met, self._met + count
        return self._names[first : self._met], self._access[first : self._met]

    # --- workers ------------------------------------------------------------------------------

    def workers(self) -> Iterator[Line]:
        """Throughput in a closed loop by workers on one port; clients are where the kernel says."""
        found: dict[int, list[Line]] = {count: [] for count in WORKERS}
        for _, count in itertools.product(range(ROUNDS), WORKERS):
            command = [*self._command, "--workers", str(count)]
            with server_process(command, self._env) as (pid, port):
                found[count].append(asyncio.run(self._throughput(pid, port)))
        alone = _median(found[1], "messages_per_second")
        for count, rounds in found.items():
            line = _medians(rounds)
            beside = round(line["messages_per_second"] / alone, 2)
            yield {"measure": "workers", "workers": count, "beside_one": beside} | line

    async def _throughput(self, pid: int, port: int) -> Line:
        await asyncio.sleep(SETTLING)
        names, access = self._strangers(2 * PAIRS)
        clients = await set_up([port] * len(names), names, access)
        load = _Load(clients, with_descendants(pid), self._servers)
        line = await load.measure(lambda: closed_loop(clients, WINDOW, SECONDS))
        leave(clients)
        return line

    # --- a hop --------------------------------------------------------------------------------

    def hop(self) -> Iterator[Line]:
        """Pairs on one node against pairs on two, with the same two nodes and the same load."""
        found: dict[str, list[Line]] = {"same node": [], "two nodes": []}
        with (
            server_process(self._command, self._env) as (one, first),
            server_process(self._command, self._env) as (other, second),
        ):
            asyncio.run(self._hops([one, other], [first, second], found))
        same, two = (_medians(found[where]) for where in found)
        for where, line in (("same node", same), ("two nodes", two)):
            yield {"measure": "hop", "pairs": where} | line
        yield {
            "measure": "hop",
            "added_ms": round(two["delivery_ms"] - same["delivery_ms"], 2),
            "server_cpu_beside_local": round(two["server_cpu_us"] / same["server_cpu_us"], 2),
            "lost": 0,
            "errors": [],
        }

    async def _hops(self, pids: list[int], ports: list[int], found: dict[str, list[Line]]) -> None:
        await asyncio.sleep(SETTLING)
        # Either node works as much in each round.
        together = [ports[0], ports[0], ports[1], ports[1]] * (PAIRS // 4)
        apart = [ports[0], ports[1], ports[1], ports[0]] * (PAIRS // 4)
        local = await set_up(together, *self._strangers(len(together)))
        across = await set_up(apart, *self._strangers(len(apart)))
        for _ in range(ROUNDS):
            for where, clients in (("same node", local), ("two nodes", across)):
                load = _Load(clients, pids, self._servers)
                line = await load.measure(partial(open_loop, clients, RATE, SECONDS))
                found[where].append(line)
        leave(local + across)

    # --- a large group ------------------------------------------------------------------------

    def group(self) -> Line:
        """Does a message reach all members, on three nodes, by one entry for each other node?"""
        with ExitStack() as stack:
            ports = [
                stack.enter_context(server_process(self._command, self._env))[1]
                for _ in range(GROUP_NODES)
            ]
            return asyncio.run(self._group(ports))

    async def _group(self, ports: list[int]) -> Line:
        await asyncio.sleep(SETTLING)
        clients = [Client(name) for name in self._names[:MEMBERS]]
        for client, port, token in zip(clients, itertools.cycle(ports), self._access):
            await client.start(port, token)
        for client in clients:
            client.answer = asyncio.get_running_loop().create_future()
        frame = {"t": "create", "rid": 0, "type": "group", "members": self._names[1:MEMBERS]}
        conversation = (await clients[0].ask(frame))["conv"]
        await asyncio.gather(*(client.answer for client in clients if client.answer))
        for client in clients:
            client.conversation = conversation
        with redis.Redis.from_url(self._servers.redis_url) as counter:
            before, started = _entries(counter), time.perf_counter()
            await asyncio.sleep(IDLE)
            idle = (_entries(counter) - before) / (time.perf_counter() - started)
            before, started = _entries(counter), time.perf_counter()
            slowest: list[float] = []
            for number in range(GROUP_MESSAGES):
                sender = clients[number % len(clients)]
                sender.send(time.perf_counter())
                await _until(partial(_all_have, clients, number + 1))
                slowest.append(max(c.deliveries[-1] for c in clients if c is not sender))
            seconds = time.perf_counter() - started
            entries = _entries(counter) - before - idle * seconds
        leave(clients)
        reached = sum(len(client.deliveries) for client in clients)
        return {
            "measure": "group",
            "members": MEMBERS,
            "nodes": GROUP_NODES,
            "entries_per_message": round(entries / GROUP_MESSAGES, 2),
            "last_member_ms": {"p50": quantile(slowest, 0.5), "p99": quantile(slowest, 0.99)},
            "lost": GROUP_MESSAGES * (MEMBERS - 1) - reached,
            "errors": [error for client in clients for error in client.errors][:3],
        }


class _Load:
    """A load on some clients, and what it costs the servers."""

    def __init__(self, clients: list[Client], nodes: list[int], servers: Addresses) -> None:
        self._clients = clients
        self._nodes = nodes
        self._postgres = servers.pids["postgres"]
        self._redis = servers.pids["redis"]

    async def measure(self, load: Callable[[], Awaitable[None]]) -> Line:
        for client in self._clients:
            client.acks, client.deliveries = [], []
        before, own_cpu, started = self._cpu(), time.process_time(), time.perf_counter()
        await load()
        await settle(self._clients)
        seconds = time.perf_counter() - started
        own_cpu = time.process_time() - own_cpu
        acks = [ack for client in self._clients for ack in client.acks]
        deliveries = [each for client in self._clients for each in client.deliveries]
        spent = [
            (now - then) / len(acks) * 1e6 for now, then in zip(self._cpu(), before, strict=True)
        ]
        return {
            "messages_per_second": round(len(acks) / seconds),
            "ack_ms": quantile(acks, 0.5),
            "delivery_ms": quantile(deliveries, 0.5),
            "delivery_p99_ms": quantile(deliveries, 0.99),
            "server_cpu_us": round(spent[0], 1),
            "postgres_cpu_us": round(spent[1], 1),
            "redis_cpu_us": round(spent[2], 1),
            "generator_busy": round(own_cpu / seconds, 2),
            "lost": lost_by(self._clients),
            "errors": [error for client in self._clients for error in client.errors][:3],
        }

    def _cpu(self) -> tuple[float, float, float]:
        return (
            sum(map(cpu_seconds, self._nodes)),
            sum(map(cpu_seconds, with_descendants(self._postgres))),
            cpu_seconds(self._redis),
        )


def _entries(counter: redis.Redis) -> int:
    """Entries that were ever added to any stream."""
    stats: Any = counter.info("commandstats")
    return int(stats.get("cmdstat_xadd", {}).get("calls", 0))


def _all_have(clients: list[Client], seq: int) -> bool:
    return all(client.position >= seq for client in clients)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for it, at most ten seconds."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)


def _median(rounds: list[Line], figure: str) -> float:
    values: list[float] = [line[figure] for line in rounds]
    return statistics.median(values)


def _medians(rounds: list[Line]) -> Line:
    """The median of each figure over rounds; what was lost and wrong in all of them."""
    figures = {
        name: round(_median(rounds, name), 2)
        for name in rounds[0]
        if name not in ("lost", "errors")
    }
    lost = sum(line["lost"] for line in rounds)
    return figures | {"lost": lost, "errors": [e for line in rounds for e in line["errors"]][:3]}
