"""A server with files that is broken in many ways, and its people's devices."""

from __future__ import annotations

import resource
import secrets
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.faults.file_client import FileClient
from tests.faults.processes import ServerProcess, server_log, server_process
from tests.support.server import run_command, token
from tests.support.stored_files import Stored, s3_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.s3_server import S3Server
    from tests.support.storage_servers import PostgresServer

MIB: Final = 1024 * 1024
CHUNK: Final = 5 * MIB
HELD: Final = 0.4
"""Seconds that an outage lasts: longer than a request, shorter than a client gives up."""
LEASE_HOURS: Final = 0.1
"""After so long nothing is held any more by a node that is dead."""
LONG_HOURS: Final = 24 * 40.0
"""After so long whatever nobody uses is due to go."""
SWEPT: Final = 0.2
"""Seconds in which a sweeper comes by."""
SWEEPS: Final = 200
SETTINGS: Final = {
    "CHAT4ALL_FILE_CHUNK_SIZE": str(CHUNK),
    "CHAT4ALL_FILE_SWEEP_INTERVAL": "0.1",
    "CHAT4ALL_RATE_FILES_PER_MINUTE": "0",
    "CHAT4ALL_S3_TIMEOUT": "1",
}


class FileScene:
    """Made by `file_scene`."""

    def __init__(
        self, server: ServerProcess, stored: Stored, postgres: PostgresServer, s3: S3Server | None
    ) -> None:
        self.server = server
        self.stored = stored
        self.postgres = postgres
        self.s3 = s3
        self._steps = 0
        self._stepped = trio.Event()

    def device(self, user: str) -> FileClient:
        """A device of this user, which has forgotten everything."""
        return FileClient(self.server.port, token(user), self._step)

    def _step(self) -> None:
        self._steps += 1
        self._stepped.set()

    async def steps(self, count: int) -> None:
        """Wait until devices have been answered so many times more."""
        wanted = self._steps + count
        while self._steps < wanted:
            self._stepped = trio.Event()
            await self._stepped.wait()

    # --- what happens to it

    async def kill_server(self) -> None:
        """kill -9, and a start; what the dead node held lapses meanwhile."""
        await self.server.kill()
        await self.later(LEASE_HOURS)
        await self.server.start()

    async def crash_database(self) -> None:
        """It comes back by itself."""
        await trio.to_thread.run_sync(self.postgres.crash)
        await trio.to_thread.run_sync(self.postgres.wait_ready)

    async def take_store_away(self) -> None:
        """S3 drops what it is asked; the disk takes nothing more."""
        with self._disk_full() if self.s3 is None else self.s3.outage():
            await trio.sleep(HELD)

    async def freeze_store(self) -> None:
        """S3 says nothing for longer than it is waited for."""
        assert self.s3 is not None
        with self.s3.frozen():
            await trio.sleep(1 + HELD)

    @contextmanager
    def _disk_full(self) -> Iterator[None]:
        """No file of the server may grow beyond what its log needs."""
        pid = self.server.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 * MIB, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def later(self, hours: float) -> None:
        """Let time pass for the files."""
        await trio.to_thread.run_sync(self.stored.later, hours)

    # --- what is there

    async def swept(self, files: set[str]) -> None:
        """Wait until nothing is there but these files, which messages carry, and their objects."""
        for _ in range(SWEEPS):
            found = await trio.to_thread.run_sync(self._left_over, files)
            if found is None:
                return
            await self.later(LONG_HOURS)
            await trio.sleep(SWEPT)
        raise AssertionError(f"left over: {found}")

    def _left_over(self, files: set[str]) -> Any:
        rows = {str(row["id"]): row for row in self.stored.rows()}
        keys = {row["key"] for row in rows.values()}
        keys |= {row["thumbnail"] for row in rows.values() if row["thumbnail"] is not None}
        objects, uploads = self.stored.objects(), self.stored.uploads()
        if files <= rows.keys() and rows.keys() <= files and objects == keys and not uploads:
            return None
        return rows.keys() ^ files, objects ^ keys, uploads


@asynccontextmanager
async def file_scene(
    data_dir: Path,
    users: Sequence[str],
    postgres: PostgresServer,
    s3: S3Server | None,
    *,
    launcher: Sequence[str],
    settings: dict[str, str] | None = None,
) -> AsyncIterator[FileScene]:
    """A server over a database of its own, which knows these users."""
    async with AsyncExitStack() as stack:
        dsn = stack.enter_context(postgres.fresh_database())
        log = stack.enter_context(server_log(data_dir))
        where = ["--data-dir", str(data_dir), "--postgres", dsn]
        await run_command("user", "add", *users, "--password", "a password", "--postgres", dsn)
        bucket = f"bucket-{secrets.token_hex(8)}"  # what others have left is in another one
        if s3 is not None:
            s3.client().create_bucket(Bucket=bucket)
        chosen = {**SETTINGS, **s3_settings(s3, bucket), **(settings or {})}
        server = await stack.enter_async_context(server_process(launcher, where, log, chosen))
        yield FileScene(server, Stored(dsn, data_dir, s3, bucket), postgres, s3)


async def persistently(work: Callable[[], Any], kills: trio.MemoryReceiveChannel[None]) -> None:
    """Do the work; whenever a kill comes it ends where it is, and begins again."""
    done = False
    while not done:
        async with trio.open_nursery() as nursery:

            async def run(scope: trio.CancelScope = nursery.cancel_scope) -> None:
                nonlocal done
                await work()
                done = True
                scope.cancel()

            nursery.start_soon(run)
            await kills.receive()
            nursery.cancel_scope.cancel()
