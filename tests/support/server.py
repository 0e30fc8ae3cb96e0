"""The real server as a process, and clients that speak raw frames to it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio_websocket import connect_websocket_url

from chat4all_actors.accounts.tokens import Tokens
from chat4all_protocol.codec import encode
from chat4all_protocol.connection import ClientConnection
from chat4all_protocol.frames import Connect, Hello, Ready
from chat4all_protocol.ids import new_id
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from chat4all_protocol.frames import AnyClientFrame, AnyServerFrame

UNLIMITED = {
    f"CHAT4ALL_RATE_{what}_PER_MINUTE": "0"
    for what in (
        "MESSAGES",
        "REQUESTS",
        "CLIENT_REQUESTS",
        "HANDSHAKES",
        "LOGINS",
        "LOGINS_PER_ADDRESS",
        "REGISTRATIONS",
    )
}
"""All clients of a test share an address, and are in haste."""

JWT_KEY = "a key that only tests use, of 32 bytes and more"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for commands of ours: nothing configured but what tests need."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CHAT4ALL_")}
    return kept | {"CHAT4ALL_JWT_KEY": JWT_KEY, "CHAT4ALL_BCRYPT_COST": "4"} | dict(extra or {})


def command(*arguments: str) -> list[str]:
    """The command line of `chat4all ARGUMENTS` in this interpreter."""
    return [sys.executable, "-m", "chat4all_actors", *arguments]


async def run_command(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run `chat4all ARGUMENTS` to its end, a good one; what it printed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = forked.start(
            ["chat4all_actors", *arguments],
            env=environment(env),
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        )
        status = await process.ended()
        stdout.seek(0)
        stderr.seek(0)
        assert status == 0, stderr.read().decode()
        return stdout.read().decode()


def token(username: str, user_id: str | None = None, *, lifetime: float = 3600) -> str:
    """An access token that the test server accepts."""
    return Tokens(JWT_KEY, lifetime=lifetime).issue(user_id or new_id(), username)


def start_and_read(
    arguments: Sequence[str], env: Mapping[str, str], *, stderr: int = 2
) -> tuple[forked.Process, trio.abc.ReceiveStream]:
    """Run `python -m ARGUMENTS`, and what it prints."""
    reading, writing = os.pipe()
    stdout = trio.lowlevel.FdStream(reading)
    try:
        return forked.start(arguments, env=env, stdout=writing, stderr=stderr), stdout
    finally:
        os.close(writing)


async def first_line(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes up to the end of a line; nothing if there is none."""
    line = b""
    while not line.endswith(b"\n"):
        data = await stream.receive_some()
        if not data:
            return b""
        line += data
    return line


class Server:
    """A `chat4all serve` process."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._arguments = list(arguments)
        self._env = environment(env)
        self._process: forked.Process | None = None
        self.url = ""

    @property
    def process(self) -> forked.Process:
        assert self._process is not None
        return self._process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    async def start(self) -> None:
        """Start, and return when it listens; a restart listens on the port it had."""
        arguments = [*self._arguments, "--port", str(self.port) if self.url else "0"]
        self._process, stdout = start_and_read(["chat4all_actors", "serve", *arguments], self._env)
        async with stdout:
            line = await first_line(stdout)
        if not line:
            raise RuntimeError(f"serve ended: {await self._process.ended()}")
        assert line.startswith(b"listening on ")
        self.url = line.decode().removeprefix("listening on ").strip()

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.ended()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.ended()


@asynccontextmanager
async def running_server(
    data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """A server over `data_dir`; without `--postgres` in the arguments its database is embedded.

    Its rates are unlimited unless `env` says otherwise.
    """
    server = Server(["--data-dir", str(data_dir), *arguments], UNLIMITED | dict(env or {}))
    await server.start()
    try:
        yield server
    finally:
        with trio.CancelScope(shield=True):
            if server.process.poll() is None:
                server.process.kill()
            await server.process.ended()


class RawClient:
    """One WebSocket that speaks frames; `rules` checks what the server sends."""

    def __init__(self, nursery: trio.Nursery, url: str) -> None:
        self._nursery = nursery
        self._url = url
        self.rules = ClientConnection()

    async def open(self) -> Hello:
        self.socket = await connect_websocket_url(
            self._nursery, self._url, subprotocols=["chat4all.v1"]
        )
        hello = await self.receive()
        assert isinstance(hello, Hello)
        return hello

    async def connect(
        self,
        username: str,
        device: str = "device",
        *,
        cursors: dict[str, int] | None = None,
        since: int | None = None,
    ) -> Ready:
        """Open and connect as a user."""
        await self.open()
        connect = Connect(token=token(username), device=device, cursors=cursors, since=since)
        self.rules.connecting(connect)
        await self.send(connect)
        ready = await self.receive()
        assert isinstance(ready, Ready), ready
        return ready

    async def send(self, frame: AnyClientFrame) -> None:
        await self.socket.send_message(encode(frame))

    async def receive(self) -> AnyServerFrame:
        """The next frame, which must be one that the server may send now."""
        message = await self.socket.get_message()
        assert isinstance(message, bytes)
        frame = self.rules.receive(message)
        assert frame is not None, "a frame that the protocol does not know"
        return frame

    async def close(self) -> None:
        await self.socket.aclose()
