"""A real PostgreSQL for tests, and databases in it that nobody else uses.

Without trio, so that fixtures of a whole session can own it: the keeper process does the work, and
ends with this process whatever happens.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import trio

from chat4all_storage.bridge import open_bridge
from chat4all_storage.embedded.embedded import find_embedded
from chat4all_storage.embedded.processes import command_line, mark_of, marked_processes
from chat4all_storage.embedded.servers import Layout
from chat4all_storage.postgres.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_LIMIT = 45.0  # seconds, as the owner of embedded servers has


class PostgresServer:
    """A running server. Made by `run_postgres`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._numbers = itertools.count(1)
        addresses = find_embedded(data_dir)
        assert addresses is not None
        self.dsn = addresses.postgres_dsn
        self._keeper = addresses.pids["keeper"]
        trio.run(_migrate, self.dsn)

    # --- databases ----------------------------------------------------------------------------

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The DSN of a database without any tables, for as long as the block lasts."""
        with self._database("template1") as dsn:
            yield dsn

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The DSN of a database with our schema, for as long as the block lasts."""
        with self._database("chat4all") as dsn:
            execute(dsn, "UPDATE database_identity SET name = gen_random_uuid()")
            yield dsn

    @contextmanager
    def _database(self, template: str) -> Iterator[str]:
        name = f"test_{next(self._numbers)}"
        execute(
            self.maintenance_dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        )
        try:
            yield self.dsn_of(name)
        finally:
            execute(self.maintenance_dsn, f"DROP DATABASE {name} WITH (FORCE)")

    def dsn_of(self, name: str) -> str:
        """The DSN of a database, whether it exists or not."""
        return self.dsn.replace("/chat4all?", f"/{name}?")

    @property
    def maintenance_dsn(self) -> str:
        """The DSN of a database that is always there and never a template."""
        return self.dsn_of("postgres")

    # --- faults -------------------------------------------------------------------------------

    def crash(self) -> None:
        """Stop at once, as in a crash; the keeper starts the server again, on the same address."""
        self._end_postmaster(signal.SIGQUIT)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """A crash from which nobody recovers before the end of the block."""
        os.kill(self._keeper, signal.SIGSTOP)
        try:
            self._end_postmaster(signal.SIGQUIT)
            yield
        finally:
            os.kill(self._keeper, signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing in the server moves, as when its machine hangs; connections stay open."""
        pids = list(marked_processes(f"{mark_of(self._data_dir)}-postgres"))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def wait_ready(self) -> None:
        """Wait until the server accepts connections (again)."""
        while True:
            try:
                execute(self.maintenance_dsn, "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                time.sleep(0.02)
            else:
                return

    def _end_postmaster(self, number: signal.Signals) -> None:
        addresses = find_embedded(self._data_dir)
        assert addresses is not None
        postmaster = addresses.pids["postgres"]
        os.kill(postmaster, number)
        while command_line(postmaster):
            time.sleep(0.005)


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Run an embedded PostgreSQL in a directory of its own for as long as the block lasts."""
    data_dir = Path(tempfile.mkdtemp(prefix="chat4all-tests-", dir=memory_disk()))
    layout = Layout(data_dir)
    layout.logs.mkdir(mode=0o700)
    command = [sys.executable, "-P", "-m", "chat4all_storage.embedded.keeper"]
    with (
        open(layout.logs / "keeper.log", "ab") as log,
        subprocess.Popen(
            [*command, str(data_dir), "--no-redis", "--throwaway"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        ) as keeper,
    ):
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            said = json.loads(keeper.stdout.readline())
            assert said == {"ready": True}, said
            yield PostgresServer(data_dir)
        finally:
            keeper.stdin.close()
            keeper.wait(STOP_LIMIT)


def memory_disk() -> str | None:
    """Where nobody waits for a disk, if there is room. A crashed server finds its files there."""
    path = "/dev/shm"
    if os.access(path, os.W_OK) and shutil.disk_usage(path).free > 4 * 2**30:
        return path
    return None


def execute(dsn: str, statement: str, *arguments: Any) -> None:
    """Run one statement on a connection of its own."""
    fetch(dsn, statement, *arguments)


def fetch(dsn: str, statement: str, *arguments: Any) -> list[Any]:
    """Run one query on a connection of its own, from outside any event loop or from a thread."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(dsn, timeout=30)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    return asyncio.run(run())


async def _migrate(dsn: str) -> None:
    async with open_bridge() as bridge:
        await migrate(bridge, dsn)
