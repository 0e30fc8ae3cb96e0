"""PostgreSQL and Redis without any configuration, from wheels: the owner's side.

    async with open_embedded(Path("chat4all-data")) as servers:
        await connect(servers.postgres_dsn, servers.redis_url)

The servers are real ones (PostgreSQL 18, Redis 6.2), durable as any, on unix sockets that only this
user can reach. A `keeper` process runs them and stops them when this process ends, in whatever way.
One owner at a time uses a data directory; `find_embedded` tells others where its servers are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import trio

from .keeper_lock import is_held
from .processes import EmbeddedError
from .servers import Layout, last_words, mend_of, private

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from io import BufferedWriter
    from pathlib import Path

__all__ = ["Addresses", "EmbeddedError", "EmbeddedServers", "find_embedded", "open_embedded"]

SECONDS = 1.0

# Longer than all the stop steps of both servers together.
STOP_LIMIT = 45 * SECONDS

_KEEPER = (sys.executable, "-P", "-m", "chat4all_storage.embedded.keeper")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where running embedded servers are; empty is a server that was not asked for."""

    postgres_dsn: str
    redis_url: str
    pids: dict[str, int]
    """Of `keeper`, `postgres` (the postmaster) and `redis`."""


@asynccontextmanager
async def open_embedded(
    data_dir: Path, *, postgres: bool = True, redis: bool = True, throwaway: bool = False
) -> AsyncIterator[EmbeddedServers]:
    """Run the embedded servers on `data_dir` for as long as the block lasts.

    The directory is made if it is missing; what an earlier run stored in it is there again. With
    `throwaway` it must be missing or empty, and is removed at the end.

    A server that dies is started again on the same address. That this has become impossible is told
    by `EmbeddedServers.wait_failed`, or else by the end of the block.

    Raises `EmbeddedError` if the servers cannot start, which includes that another owner uses
    `data_dir`. Leaving the block waits until everything is stopped.
    """
    servers = EmbeddedServers(data_dir, postgres=postgres, redis=redis, throwaway=throwaway)
    try:
        await servers._start()
        yield servers
    except BaseException:
        await servers._stop()
        raise
    await servers._stop()
    if servers._failure is not None and not servers._failure_told:
        raise servers._failure


def find_embedded(data_dir: Path) -> Addresses | None:
    """Return where the servers of `data_dir` are, or `None` if no keeper runs them right now.

    Raises `PermissionError` if they are another user's.
    """
    layout = Layout(data_dir.absolute())
    return _read_addresses(layout) if is_held(layout.lock) else None


class EmbeddedServers:
    """Running servers. Made by `open_embedded`."""

    def __init__(self, data_dir: Path, *, postgres: bool, redis: bool, throwaway: bool) -> None:
        self._layout = layout = Layout(data_dir.absolute())
        self._throwaway = throwaway
        self._options = [str(layout.data_dir)]
        wanted = {"--no-postgres": not postgres, "--no-redis": not redis, "--throwaway": throwaway}
        self._options += [option for option, given in wanted.items() if given]
        self._process: trio.Process | None = None
        self._log_start = 0
        self._said = b""
        self._reading = trio.Lock()
        self._failure: EmbeddedError | None = None
        self._failure_told = False
        self._addresses = Addresses("", "", {})

    @property
    def postgres_dsn(self) -> str:
        """The DSN of PostgreSQL, as asyncpg and libpq take it; empty without PostgreSQL."""
        return self._addresses.postgres_dsn

    @property
    def redis_url(self) -> str:
        """The URL of Redis, as redis-py takes it; empty without Redis."""
        return self._addresses.redis_url

    @property
    def pids(self) -> dict[str, int]:
        """The processes by name, `keeper` among them; they change when one is started again."""
        return (_read_addresses(self._layout) or self._addresses).pids

    async def wait_failed(self) -> NoReturn:
        """Wait until the servers can no longer be kept; raise `EmbeddedError` then."""
        assert self._process is not None
        async with self._reading:
            await self._read_line(self._process)
        self._failure_told = True
        assert self._failure is not None  # after `ready` there is an error or the end
        raise self._failure

    async def _start(self) -> None:
        try:
            self._make_directories()
            self._process = await self._spawn()
        except OSError as error:
            what = f"the embedded servers cannot start in {self._layout.data_dir}"
            mend = mend_of(str(error), "name another data directory")
            raise EmbeddedError(what, str(error), mend) from error
        if not await self._read_line(self._process):
            self._failure_told = True
            assert self._failure is not None
            raise self._failure
        self._addresses = _read_addresses(self._layout) or self._addresses

    def _make_directories(self) -> None:
        data_dir = self._layout.data_dir
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._throwaway and any(data_dir.iterdir()):
            raise EmbeddedError(
                f"{data_dir} cannot be used as a throw-away directory",
                "it is not empty, and would be removed",
                "name another directory",
            )
        self._layout.logs.mkdir(mode=0o700, exist_ok=True)

    async def _spawn(self) -> trio.Process:
        with self._open_log() as log:
            self._log_start = log.tell()
            return await trio.lowlevel.open_process(
                [*_KEEPER, *self._options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log.fileno(),
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )

    def _open_log(self) -> BufferedWriter:
        return open(self._log_file, "ab", opener=private)

    @property
    def _log_file(self) -> Path:
        return self._layout.logs / "keeper.log"

    async def _read_line(self, keeper: trio.Process) -> bool:
        """Return whether the keeper is ready; otherwise `_failure` says why it ends."""
        if self._failure is not None:
            return False
        assert keeper.stdout is not None
        while b"\n" not in self._said:
            data = await keeper.stdout.receive_some()
            if not data:
                self._failure = self._unexpected_end(await keeper.wait())
                return False
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        message = json.loads(line)
        if "error" in message:
            self._failure = EmbeddedError(*message["error"])
        return "ready" in message

    def _unexpected_end(self, status: int) -> EmbeddedError:
        said = ""
        if self._log_file.exists():  # not after a throw-away directory was removed
            with open(self._log_file, "rb") as log:
                log.seek(self._log_start)
                said = last_words(log.read().decode(errors="replace"))
        return EmbeddedError(
            f"the keeper of {self._layout.data_dir} died",
            f"its status was {status}" + (f"; {said}" if said else ""),
            "start again: what is stored is kept",
        )

    async def _stop(self) -> None:
        """Let the keeper end, and wait for it; what goes wrong becomes `_failure`."""
        if self._process is None:
            return
        with trio.move_on_after(STOP_LIMIT, shield=True) as scope:
            status = await self._end(self._process)
            if status < 0:
                # The keeper was killed: another one stops what it has left, and ends at once.
                await self._end(await self._spawn())
        if scope.cancelled_caught and self._failure is None:
            self._failure = EmbeddedError(
                f"the embedded servers of {self._layout.data_dir} do not stop",
                f"their keeper (pid {self._process.pid}) is still there after {STOP_LIMIT:.0f} s",
                f"see {self._log_file}",
            )

    async def _end(self, keeper: trio.Process) -> int:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        await keeper.stdin.aclose()
        status = await keeper.wait()
        if status != 0:
            async with self._reading:
                await self._read_line(keeper)
        await keeper.stdout.aclose()
        return status


def _read_addresses(layout: Layout) -> Addresses | None:
    try:
        record = json.loads(layout.addresses.read_text())
    except FileNotFoundError:
        return None
    of = record["addresses"]
    return Addresses(of.get("postgres", ""), of.get("redis", ""), record["pids"])
