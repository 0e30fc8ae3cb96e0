"""Memory of an idle session: the slope of the server's PSS over plateaus of connections."""

from __future__ import annotations

import asyncio
import os
import statistics
from typing import Final

import msgspec

from .accounts import tokens
from .echo_peer import Peer, masked, open_peer
from .processes import pss_bytes, server_process

PLATEAUS: Final = (0, 1000, 2000, 3000, 4000, 5000)
PARALLEL: Final = 50


async def ramp(pid: int, port: int, token: str) -> list[tuple[int, int]]:
    """Connect up to each plateau; (sessions, PSS in bytes) at each."""
    points: list[tuple[int, int]] = []
    peers: list[Peer] = []

    async def connect(number: int) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_message(data: bytes) -> None:
            if msgspec.msgpack.decode(data)["t"] == "ready":
                ready.set_result(None)

        peer = await open_peer("127.0.0.1", port, on_message)
        frame = {"t": "connect", "token": token, "device": f"device-{number}"}
        peer.transport.write(masked(msgspec.msgpack.encode(frame)))
        await ready
        peer.on_message = lambda _: None
        peers.append(peer)

    for plateau in PLATEAUS:
        while len(peers) < plateau:
            first = len(peers)
            await asyncio.gather(
                *(connect(number) for number in range(first, min(first + PARALLEL, plateau)))
            )
        await asyncio.sleep(1.0)  # what was allocated for a moment is free again
        points.append((plateau, pss_bytes(pid)))
    for peer in peers:
        peer.transport.close()
    return points


def run(data_dir: str) -> dict[str, object]:
    """The slope in KiB per session, and how well a line fits (R²)."""
    env = os.environ | {
        "CHAT4ALL_BCRYPT_COST": "4",
        "CHAT4ALL_MAX_SESSIONS_PER_USER": "100000",
        "CHAT4ALL_HEARTBEAT": "600",
        "CHAT4ALL_RATE_HANDSHAKES_PER_MINUTE": "0",
        "CHAT4ALL_MAX_CONNECTIONS_PER_ADDRESS": "0",
        "CHAT4ALL_HANDSHAKE_RATE": "0",
    }
    command = ["-m", "chat4all_actors", "serve", "--port", "0", "--data-dir", data_dir]
    with server_process(command, env) as (pid, port):
        (token,) = tokens(["--data-dir", data_dir], ["idle"], env)
        points = asyncio.run(ramp(pid, port, token))
    counts = [float(count) for count, _ in points[1:]]
    sizes = [size / 1024 for _, size in points[1:]]
    slope, _ = statistics.linear_regression(counts, sizes)
    return {
        "kib_per_session": round(slope, 2),
        "r_squared": round(statistics.correlation(counts, sizes) ** 2, 4),
        "points": [(count, round(size / 2**20, 1)) for count, size in points],
    }
