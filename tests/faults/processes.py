"""The server and the database as processes that can be killed."""

from __future__ import annotations

import os
import random
import signal
import socket
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import asyncpg
import trio

from chat4all_actors.cli.main import UNREACHABLE
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.embedded.processes import command_line, mark_of, marked_processes
from tests.support.server import UNLIMITED, environment, first_line, start_and_read
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from tests.support.forked import Process

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = {
    **UNLIMITED,
    # Short, so that outages are seen from both sides: waited for, and refused.
    "CHAT4ALL_LOG_PATIENCE": "0.6",
    # Small, so that who reads slowly misses something.
    "CHAT4ALL_MAX_OUTBOUND": "32768",
}

START_LIMIT: Final = 60.0
"""Seconds within which a server listens, with a database that is away for a while."""

LOG_SHOWN: Final = 3000
"""Characters of the server's log that a failed run tells."""


class StartFailed(Exception):
    """The server can't be started; trying again would not help."""


def free_port() -> int:
    """A port below those that the kernel gives to outgoing connections.

    While the server is down, a client that connects from the very port it connects to would be
    connected to itself, and the server could not come back.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class ServerProcess:
    """`chat4all serve`, started again and again on the same port and data directory."""

    def __init__(
        self,
        launcher: Sequence[str],
        arguments: Sequence[str],
        log: IO[bytes],
        settings: Mapping[str, str],
    ) -> None:
        """`launcher` is what `python -m` runs, with its own arguments."""
        self._environment = environment({**SETTINGS, **settings})
        self.port = free_port()
        self._arguments = [*launcher, "serve", *arguments, "--port", str(self.port)]
        self._log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it, as often as it takes until it listens: a database may be away.

        Raises:
            StartFailed: it ends for another reason, or does not listen within `START_LIMIT`.
        """
        with trio.move_on_after(START_LIMIT):
            while (code := await self._try_start()) is not None:
                if code != UNREACHABLE:
                    raise StartFailed(f"the server ended with {code} at its start: see its log")
                await trio.sleep(0.05)
            return
        raise StartFailed(f"the server does not listen after {START_LIMIT} s: see its log")

    async def _try_start(self) -> int | None:
        """None when it listens, or the code with which it ended before."""
        self._process, stdout = start_and_read(
            self._arguments, self._environment, stderr=self._log.fileno()
        )
        async with stdout:
            said = await first_line(stdout)
        if not said:
            return await self._process.ended()
        assert said.startswith(b"listening on "), said
        return None

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        await self._process.ended()

    async def drain(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended; the exit code."""
        assert self._process is not None
        return await self._process.ended()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does not move; connections stay open."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@contextmanager
def server_log(data_dir: Path) -> Iterator[IO[bytes]]:
    """Where servers of this directory write their log; it is shown when the run fails."""
    data_dir.mkdir(exist_ok=True)
    file = data_dir / "server.log"
    with open(file, "ab") as log:
        try:
            yield log
        except BaseException as error:
            error.add_note(file.read_text(errors="replace")[-LOG_SHOWN:])
            raise


@asynccontextmanager
async def server_process(
    launcher: Sequence[str],
    arguments: Sequence[str],
    log: IO[bytes],
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[ServerProcess]:
    """A server that runs, and is gone at the end; `settings` are beside those of all runs."""
    server = ServerProcess(launcher, arguments, log, settings or {})
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True):
            if server.running:
                with trio.move_on_after(30):
                    await server.drain()
            if server.running:
                await server.kill()


class DatabaseProcess:
    """The embedded PostgreSQL of a data directory, whoever owns it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    @cached_property
    def dsn(self) -> str:
        """Where it is, for good."""
        addresses = find_embedded(self._data_dir)
        assert addresses is not None
        return addresses.postgres_dsn

    async def crash(self) -> None:
        """Stop it in immediate mode, as a crash does; its keeper starts it again at once.

        Nothing happens when it is down already.
        """
        pids = self._pids()
        if "postgres" in pids:
            await _quit(pids["postgres"])

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Crash it, and keep it down for as long as the block lasts."""
        pids = self._pids()
        os.kill(pids["keeper"], signal.SIGSTOP)
        try:
            await _quit(pids["postgres"])
            yield
        finally:
            os.kill(pids["keeper"], signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing in it moves; connections stay open."""
        pids = list(marked_processes(f"{mark_of(self._data_dir)}-postgres"))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def execute(self, statement: str) -> None:
        """Run a statement on a connection of its own."""
        await trio.to_thread.run_sync(fetch, self.dsn, statement)

    async def ready(self) -> None:
        """Wait until it accepts connections (again)."""
        while True:
            try:
                await self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                await trio.sleep(0.02)
            else:
                return

    def _pids(self) -> Mapping[str, int]:
        addresses = find_embedded(self._data_dir)
        return {} if addresses is None else addresses.pids


async def _quit(pid: int) -> None:
    if command_line(pid):
        os.kill(pid, signal.SIGQUIT)
        while command_line(pid):  # noqa: ASYNC110 - the end of somebody else's child
            await trio.sleep(0.005)
