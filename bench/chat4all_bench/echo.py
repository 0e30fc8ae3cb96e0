"""Server CPU per echoed frame, beside other servers in the same run.

Ours answers a `ping` frame, padded to the size of the others' messages, with a `pong`: it decodes
MessagePack, checks it, and goes through the session; the others hand the bytes back.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

import msgspec

from .echo_peer import Peer, masked, open_peer
from .proc import cpu_seconds
from .processes import server_process

CONNECTIONS: Final = 100
SECONDS: Final = 3.0
PAYLOAD: Final = 160
ROUNDS: Final = 5


def padded_ping() -> bytes:
    """A `ping` of `PAYLOAD` bytes; the padding is a key that the server does not know."""
    bare = len(msgspec.msgpack.encode({"t": "ping", "at": 1, "pad": ""}))
    return msgspec.msgpack.encode({"t": "ping", "at": 1, "pad": "x" * (PAYLOAD - bare - 1)})


async def drive(port: int, payload: bytes, greeting: bool) -> int:
    """Keep one message under way on each connection; how many came back."""
    echoed = 0
    frame = masked(payload)
    running = True
    peers: list[Peer] = []
    for _ in range(CONNECTIONS):
        peer = await open_peer("127.0.0.1", port, lambda _: None)
        peers.append(peer)
    await asyncio.sleep(0.2)  # a server's greetings

    def answer_with(peer: Peer) -> None:
        def on_message(_: bytes) -> None:
            nonlocal echoed
            echoed += 1
            if running:
                peer.transport.write(frame)

        peer.on_message = on_message

    for peer in peers:
        answer_with(peer)
        peer.transport.write(frame)
    await asyncio.sleep(SECONDS)
    running = False
    for peer in peers:
        peer.transport.close()
    return echoed


def measure(
    command: list[str], payload: bytes, env: dict[str, str] | None = None
) -> tuple[float, float]:
    """Microseconds of server CPU per message, and messages a second."""
    with server_process(command, env) as (pid, port):
        before, started = cpu_seconds(pid), time.perf_counter()
        echoed = asyncio.run(drive(port, payload, greeting=True))
        seconds = time.perf_counter() - started
        return (cpu_seconds(pid) - before) / echoed * 1e6, echoed / seconds


def run(data_dir: str) -> dict[str, dict[str, float]]:
    """All servers in turn, several rounds; the medians."""
    contestants = {
        "chat4all": (
            ["-m", "chat4all_actors", "serve", "--port", "0", "--data-dir", data_dir],
            padded_ping(),
        ),
        "websockets": (["-m", "chat4all_bench.echo_servers", "websockets"], b"x" * PAYLOAD),
        "trio-websocket": (["-m", "chat4all_bench.echo_servers", "trio-websocket"], b"x" * PAYLOAD),
    }
    env = {"CHAT4ALL_CONNECT_TIMEOUT": "600"}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, (command, payload) in contestants.items():
            found[name].append(measure(command, payload, env))
    return {
        name: {
            "cpu_us_per_message": round(statistics.median(cpu for cpu, _ in rounds), 1),
            "messages_per_second": round(statistics.median(rate for _, rate in rounds)),
        }
        for name, rounds in found.items()
    }
