"""Durable messages: how many a second, and how long each takes, with 100 connections.

Fifty pairs. *Open loop*: messages are due at fixed times, and latency counts from when a message
was due, so a stall is not hidden. *Closed loop*: each client keeps a window of messages under way.
Every run checks integrity: each message acknowledged once, received once by the peer, in order.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import Any, Final

import msgspec

from .accounts import tokens
from .echo_peer import Peer, masked, open_peer
from .meter import Meter
from .processes import server_process

PAIRS: Final = 50
RATES: Final = (1000, 3000, 6000)
WINDOWS: Final = (1, 8, 32)
SECONDS: Final = 5.0
TEXT: Final = "a message of ordinary length, as people write them to each other"

_decode = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.encode


class Client:
    """One user, who talks to one other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer: Peer
        self.conversation = ""
        self.waiting: dict[int, float] = {}
        self.acks: list[float] = []
        self.deliveries: list[float] = []
        self.answer: asyncio.Future[Any] | None = None
        self.position = 0
        self.errors: list[str] = []
        self.window = 0
        self._rid = 0

    async def start(self, port: int, token: str) -> None:
        """Connect."""
        self.peer = await open_peer("127.0.0.1", port, self.on_message)
        await self.ask({"t": "connect", "token": token, "device": "bench"})

    async def ask(self, frame: dict[str, Any]) -> Any:
        """Send a frame and wait for the next answer that is no push."""
        self.answer = asyncio.get_running_loop().create_future()
        self.peer.transport.write(masked(_encode(frame)))
        return await self.answer

    def send(self, due: float) -> None:
        """Send a message that was due at this time; the receiver finds the time in it."""
        self._rid += 1
        self.waiting[self._rid] = due
        frame = {
            "t": "send",
            "rid": self._rid,
            "conv": self.conversation,
            "id": str(uuid.uuid4()),
            "body": {"type": "text", "text": TEXT},
            "meta": {"due": due},
        }
        self.peer.transport.write(masked(_encode(frame)))

    def on_message(self, data: bytes) -> None:
        """Take the time of what comes, and check its order."""
        frame = _decode(data)
        kind = frame["t"]
        if kind == "sent":
            self.acks.append(time.perf_counter() - self.waiting.pop(frame["rid"]))
            self._pass(frame["seq"])
            if self.window:
                self.send(time.perf_counter())
        elif kind == "msg":
            self.deliveries.append(time.perf_counter() - frame["meta"]["due"])
            self._pass(frame["seq"])
        elif kind in ("ready", "conv") and self.answer is not None and not self.answer.done():
            self.answer.set_result(frame)
        elif kind in ("error", "gap"):
            self.errors.append(str(frame))
            if self.answer is not None and not self.answer.done():
                self.answer.set_exception(RuntimeError(str(frame)))

    def _pass(self, seq: int) -> None:
        if seq != self.position + 1:
            self.errors.append(f"{self.name}: seq {seq} after {self.position}")
        self.position = seq


async def set_up(ports: list[int], names: list[str], access: list[str]) -> list[Client]:
    """Connect everybody, each at his port, and open a conversation for each pair."""
    clients = [Client(name) for name in names]
    for client, port, token in zip(clients, ports, access, strict=True):
        await client.start(port, token)
    for one, other in zip(clients[::2], clients[1::2], strict=True):
        other.answer = asyncio.get_running_loop().create_future()
        frame = {"t": "create", "rid": 0, "type": "private", "members": [other.name]}
        one.conversation = other.conversation = (await one.ask(frame))["conv"]
        await other.answer
    return clients


async def open_loop(clients: list[Client], rate: int, seconds: float = SECONDS) -> None:
    """`rate` messages a second over all clients, each at its due time."""
    started = time.perf_counter()
    count = int(rate * seconds)
    for number in range(count):
        due = started + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        clients[number % len(clients)].send(due)


async def closed_loop(clients: list[Client], window: int, seconds: float = SECONDS) -> None:
    """`window` messages under way for each client."""
    for client in clients:
        client.window = window
        for _ in range(window):
            client.send(time.perf_counter())
    await asyncio.sleep(seconds)
    for client in clients:
        client.window = 0


async def settle(clients: list[Client]) -> None:
    """Wait until everything was answered and has arrived."""
    for _ in range(1000):
        acks = sum(len(client.acks) for client in clients)
        arrived = sum(len(client.deliveries) for client in clients)
        if not any(client.waiting for client in clients) and acks == arrived:
            return
        await asyncio.sleep(0.01)


def leave(clients: list[Client]) -> None:
    """Disconnect everybody: a server that is stopped then has nobody to send elsewhere."""
    for client in clients:
        client.peer.transport.close()


def lost_by(clients: list[Client]) -> int:
    """Messages that were not acknowledged, or acknowledged and not delivered."""
    unanswered = sum(len(client.waiting) for client in clients)
    acks = sum(len(client.acks) for client in clients)
    return unanswered + acks - sum(len(client.deliveries) for client in clients)


def quantile(values: list[float], q: float) -> float:
    """Milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000, 2)


def run(data_dir: str) -> list[dict[str, object]]:
    """A line for each rate and each window."""
    env = os.environ | {"CHAT4ALL_BCRYPT_COST": "4", "CHAT4ALL_RATE_MESSAGES_PER_MINUTE": "0"}
    command = ["-m", "chat4all_actors", "serve", "--port", "0", "--data-dir", data_dir]
    names = [f"bench-{number}" for number in range(2 * PAIRS)]
    with server_process(command, env) as (pid, port):
        access = tokens(["--data-dir", data_dir], names, env)
        return asyncio.run(_run(pid, port, names, access))


async def _run(pid: int, port: int, names: list[str], access: list[str]) -> list[dict[str, object]]:
    clients = await set_up([port] * len(names), names, access)
    lines: list[dict[str, object]] = []
    loops = [("open", rate) for rate in RATES] + [("closed", window) for window in WINDOWS]
    for kind, value in loops:
        for client in clients:
            client.acks, client.deliveries = [], []
        meter = Meter(pid)
        own_cpu, started = time.process_time(), time.perf_counter()
        await (open_loop if kind == "open" else closed_loop)(clients, value)
        await settle(clients)
        seconds = time.perf_counter() - started
        acks = [ack for client in clients for ack in client.acks]
        deliveries = [delivery for client in clients for delivery in client.deliveries]
        errors = [error for client in clients for error in client.errors]
        lost = lost_by(clients)
        usage = meter.usage(len(acks))
        lines.append(
            {
                "loop": kind,
                "rate" if kind == "open" else "window": value,
                "messages_per_second": round(len(acks) / seconds),
                "ack_ms": {"p50": quantile(acks, 0.5), "p99": quantile(acks, 0.99)},
                "delivery_ms": {
                    "p50": quantile(deliveries, 0.5),
                    "p99": quantile(deliveries, 0.99),
                },
                "server_cpu_us": usage.server_us,
                "postgres_cpu_us": usage.postgres_us,
                "generator_busy": round((time.process_time() - own_cpu) / seconds, 2),
                "lost": lost,
                "errors": errors[:3],
            }
        )
    return lines
