"""Our own server as a target: one that is started for the run, or one that runs already."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from ..measuring.proc import known, listening_on, parents, with_descendants
from ..result import Target as TargetInfo
from . import accounts
from .target import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..measuring.proc import Known
    from .target import Person, Room

DIALECT: Final = "chat4all_bench.dialects.chat4all:Chat4all"
DURABILITY: Final = "committed with fsync before it is acknowledged"
_OUT_OF_REACH: Final = "1000000000"
"""A rate that nobody comes near to: what is limited is counted, as it always is."""
ENVIRONMENT: Final = {
    "CHAT4ALL_BCRYPT_COST": "4",
    "CHAT4ALL_LOG_LEVEL": "warning",
    "CHAT4ALL_TOKEN_LIFETIME": "86400",
    "CHAT4ALL_HANDSHAKE_RATE": "0",
    "CHAT4ALL_MAX_CONNECTIONS": "19000",
    "CHAT4ALL_MAX_CONNECTIONS_PER_ADDRESS": "0",
    "CHAT4ALL_MAX_CONNECTING_WAITING": "100000",
    "CHAT4ALL_CONNECTING_PATIENCE": "60",
    "CHAT4ALL_MAX_SESSIONS_PER_USER": "100000",
    "CHAT4ALL_RATE_MAX_KEYS": "1000000",
    "CHAT4ALL_FILE_QUOTA": "0",
    "CHAT4ALL_MAX_UPLOADS_PER_USER": "0",
    **{
        f"CHAT4ALL_RATE_{name}": _OUT_OF_REACH
        for name in (
            "MESSAGES_PER_MINUTE",
            "BURST",
            "HANDSHAKES_PER_MINUTE",
            "HANDSHAKES_BURST",
            "REQUESTS_PER_MINUTE",
            "REQUESTS_BURST",
            "CLIENT_REQUESTS_PER_MINUTE",
            "CLIENT_REQUESTS_BURST",
            "FILES_PER_MINUTE",
            "FILES_BURST",
        )
    },
}
"""Of a server that is started: one machine plays all users here. The caller's own values count."""
_ANNOUNCEMENT: Final = "listening on "


class RunningServer:
    """A server of ours at a URL."""

    dialect = DIALECT

    def __init__(
        self, url: str, *, pids: Sequence[int] = (), tokens_file: str | None = None
    ) -> None:
        """`pids`: its processes, where they can't be found by who listens at its port.

        Raises:
            UsageError: that is no URL we can use, or the file of tokens no such file.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or 80
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "ws") or not parts.hostname or not port:
            raise UsageError(
                f"--url {url}: it must be http://HOST:PORT; TLS would measure the generator's"
            )
        self.host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        self.ports: Sequence[int] = [port]
        self.url = f"http://{self.host}:{port}"
        self.info = TargetInfo("chat4all", "unknown", url, DURABILITY)
        self._pids = list(pids)
        self._people = None if tokens_file is None else accounts.read_tokens(tokens_file)
        self._given = 0

    def ask_version(self) -> None:
        """Find out its version.

        Raises:
            SetupError: it does not answer.
        """
        info = self.info
        version = accounts.version_of(self.url)
        self.info = TargetInfo(info.name, version, info.where, info.durability)

    def processes(self) -> list[Known]:
        """See `target.Target`."""
        pids = self._pids
        if not pids and self.host.startswith("127."):
            pids = listening_on(self.ports[0])
            above = parents()
            pids += [above[pid] for pid in pids if _is_ours(above.get(pid, 0))]
        return known([each for pid in pids for each in with_descendants(pid)])

    def people(self, names: Sequence[str]) -> list[Person]:
        """See `target.Target`: those of the file, if there is one."""
        if self._people is None:
            return accounts.register(self.url, names)
        first, self._given = self._given, self._given + len(names)
        if self._given > len(self._people):
            raise SetupError(
                f"--tokens has {len(self._people):,} users, and {self._given:,} are needed"
            )
        return self._people[first : self._given]

    def rooms(self, rooms: Sequence[Room]) -> list[str]:
        """See `target.Target`."""
        return accounts.conversations(self.url, [room.members for room in rooms])


class StartedServer(RunningServer):
    """A server of ours that was started for the run."""

    def __init__(
        self,
        url: str,
        pid: int,
        place: list[str],
        flags: str,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`place` and `env` are what commands beside it need."""
        super().__init__(url, pids=[pid])
        self.info = TargetInfo(
            "chat4all", installed_version(), f"serve {flags}".strip(), DURABILITY
        )
        self.place = place
        """The arguments that name its databases to a command."""
        self._env = ENVIRONMENT | os.environ if env is None else env

    def people(self, names: Sequence[str]) -> list[Person]:
        """See `target.Target`: made by the command line, beside the server."""
        from .target import Person

        made = accounts.tokens(self.place, names, self._env)
        return [Person(name, token) for name, token in zip(names, made, strict=True)]


@contextmanager
def started(flags: str) -> Iterator[StartedServer]:
    """Start `chat4all serve` with these flags, and stop it afterwards.

    Raises:
        SetupError: it does not start.
        UsageError: the flags are no flags.
    """
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as directory:
        given = _place_of(flags)
        place = ["--data-dir", given.data_dir or directory]
        for dsn in given.postgres or ():
            place += ["--postgres", dsn]
        with serving(flags, directory, env=ENVIRONMENT | os.environ) as (pid, url):
            yield StartedServer(url, pid, place, flags)


@contextmanager
def serving(
    flags: str, directory: str, *more: str, env: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Run `chat4all serve` on a free port, with its data in `directory` unless the flags differ.

    Yields its pid and its address.

    Raises:
        SetupError: it does not start.
        UsageError: the flags are no flags.
    """
    given = _place_of(flags)
    arguments = [*shlex.split(flags), *more]
    if given.port is None:
        arguments += ["--port", "0"]
    if given.data_dir is None:
        arguments += ["--data-dir", directory]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "chat4all_actors", "serve", *arguments],
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line.startswith(_ANNOUNCEMENT):
                log.seek(0)
                said = log.read()[-500:].decode(errors="replace").strip()
                raise SetupError(f"`chat4all serve {flags}` did not start: {said}")
            yield process.pid, line.removeprefix(_ANNOUNCEMENT)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"--serve: {message}")


def _place_of(flags: str) -> argparse.Namespace:
    """Those flags of `serve` that say where the users are."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port")
    parser.add_argument("--data-dir")
    parser.add_argument("--postgres", action="append")
    return parser.parse_known_args(shlex.split(flags))[0]


def _is_ours(pid: int) -> bool:
    try:
        return b"chat4all" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def installed_version() -> str:
    """Of the server that would be started."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("chat4all")
    except PackageNotFoundError:
        return "unknown"
