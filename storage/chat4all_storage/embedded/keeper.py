"""The process that runs the embedded servers for as long as its owner lives.

    python -m chat4all_storage.embedded.keeper DATA_DIR [--no-postgres] [--no-redis] [--throwaway]

Its standard input is the owner's pipe. However the owner ends, the keeper reads its end of file,
stops both servers, removes what is not to stay, and exits; so nothing is left behind. Signals do
not stop it: the owner, who gets the same ones, may still have to write. A server that dies on its
own is started again.

The owner reads two lines of JSON at most from its standard output: `{"ready": true}` once both
servers accept connections, and `{"error": [what, why, mend]}` if it gives up. If the keeper itself
is killed, the next one on the data directory stops the servers that were left.

Standard library only, to start fast. See `embedded` for the owner's side.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .keeper_lock import hold_lock
from .postgres_server import Postgres
from .processes import EmbeddedError, mark_of
from .servers import Layout, Redis, Server, mend_of, private

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

SECONDS = 1.0

OWNER = 0  # standard input

_POLL = 0.01 * SECONDS  # while something starts
_START_LIMIT = 180 * SECONDS  # recovery after a crash reads up to max_wal_size
_STABLE = 2 * SECONDS  # a server that lived so long has not failed at its start
_MAX_FAILURES = 5
_MAX_BACK_OFF = 2 * SECONDS

# sun_path has 104 bytes on macOS and 108 on Linux.
_MAX_SOCKET_PATH = 100
_TEMP_PREFIX = "chat4all-"


class Supervised:
    """A server and the process it runs in."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0  # of its start, then of its readiness
        self._not_before = 0.0
        self._failures = 0  # in a row

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    def launch(self) -> None:
        """Start the server."""
        self._process = self.server.start()
        self.ready = False
        self._since = time.monotonic()

    def check(self, *, first: bool) -> bool:
        """Bring the server nearer to being ready; return whether it has just become so.

        Raises `EmbeddedError` if it fails at its first start, or too often.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._not_before:
                self.launch()
        elif (status := self._process.poll()) is not None:
            self._on_exit(_end_of(status), now, first=first)
        elif not self.ready and self.server.accepts(self._process.pid):
            self.ready = True
            self._since = now
            return True
        elif not self.ready and now - self._since > _START_LIMIT:
            self._process.kill()
            self._process.wait()
            self._on_exit(f"it was not ready within {_START_LIMIT:.0f} s", now, first=first)
        return False

    def _on_exit(self, how: str, now: float, *, first: bool) -> None:
        stable = self.ready and now - self._since > _STABLE
        self._failures = 0 if stable else self._failures + 1
        self._process = None
        self.ready = False
        _log(f"{self.server.name}: {how}")
        self.server.kill_remains()
        if first or self._failures > _MAX_FAILURES:
            raise self.server.failure(how)
        delay = 0.0 if stable else min(0.05 * 2**self._failures, _MAX_BACK_OFF)
        self._not_before = now + delay


class Keeper:
    """Both servers of one data directory."""

    def __init__(self, layout: Layout, servers: Sequence[type[Server]], *, throwaway: bool) -> None:
        self._layout = layout
        self._throwaway = throwaway
        mark = mark_of(layout.data_dir)
        self._postgres = Postgres(layout, mark, throwaway=throwaway)
        self._redis = Redis(layout, mark)
        self._all: tuple[Server, ...] = (self._redis, self._postgres)
        self._supervised = [Supervised(each) for each in self._all if type(each) in servers]
        self._children = _child_wakeup()

    def run(self) -> None:
        """Serve until the owner is gone. Raises `EmbeddedError` if that is impossible."""
        with hold_lock(self._layout.lock, leave=_owner_gone) as lock:
            if lock is None:
                return  # the owner left meanwhile
            try:
                self._sweep()
                if not _owner_gone():
                    self._start()
                    self._supervise()
            finally:
                lock.stopping()
                self._stop()

    def _sweep(self) -> None:
        """Remove what a keeper that was killed has left, servers included."""
        self._layout.addresses.unlink(missing_ok=True)
        for server in self._all:
            if server.stop():
                _log(f"{server.name}: stopped, its keeper was gone")
        self._remove_sockets()
        for unfinished in self._layout.data_dir.glob("postgres.new-*"):
            shutil.rmtree(unfinished)

    def _start(self) -> None:
        self._make_socket_directory()
        # Redis comes up while PostgreSQL prepares its files.
        for child in self._supervised:
            child.server.prepare()
            child.launch()

    def _supervise(self) -> None:
        published = False
        while not _owner_gone():
            changed = [child.check(first=not published) for child in self._supervised]
            ready = all(child.ready for child in self._supervised)
            if ready and (any(changed) or not published):
                self._publish()
                if not published:
                    _tell({"ready": True})
                    published = True
            select.select([OWNER, self._children.fileno()], [], [], None if ready else _POLL)
            _drain(self._children)

    def _stop(self) -> None:
        self._layout.addresses.unlink(missing_ok=True)
        for server in self._all:
            server.stop()
        self._remove_sockets()
        if self._throwaway:
            shutil.rmtree(self._layout.data_dir)

    def _publish(self) -> None:
        pids = {child.server.key: child.pid for child in self._supervised}
        addresses = {child.server.key: child.server.address for child in self._supervised}
        record = {"pids": {"keeper": os.getpid(), **pids}, "addresses": addresses}
        new = self._layout.addresses.with_suffix(".new")
        with open(new, "w", opener=private) as file:
            json.dump(record, file)
        new.replace(self._layout.addresses)

    def _make_socket_directory(self) -> None:
        run = self._layout.run
        if _fits(run):
            run.mkdir(mode=0o700)
            return
        for base in (tempfile.gettempdir(), "/tmp"):
            if _fits(Path(base, f"{_TEMP_PREFIX}12345678")):
                run.symlink_to(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=base))
                return
        raise EmbeddedError(
            f"no sockets for {self._layout.data_dir}",
            "its path and that of the temporary directory are too long for a unix socket",
            "set TMPDIR to a short path",
        )

    def _remove_sockets(self) -> None:
        run = self._layout.run
        if run.is_symlink():
            target = run.readlink()
            if target.name.startswith(_TEMP_PREFIX) and target.is_dir():
                shutil.rmtree(target)
            run.unlink()
        elif run.exists():
            shutil.rmtree(run)


def _fits(sockets: Path) -> bool:
    return len(os.fsencode(sockets / Postgres.socket_name)) <= _MAX_SOCKET_PATH


def _owner_gone(wait: float = 0) -> bool:
    """Return whether the owner's pipe is closed, after at most `wait` seconds."""
    readable, _, _ = select.select([OWNER], [], [], wait)
    return bool(readable) and not os.read(OWNER, 1024)


def _tell(message: dict[str, object]) -> None:
    try:
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        _log("the owner does not listen any more")


def _log(text: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), f"[{os.getpid()}]", text, file=sys.stderr, flush=True)


def _end_of(status: int) -> str:
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it exited with status {status}"


def _child_wakeup() -> socket.socket:
    """Return a socket that is readable after a signal, the end of a child above all."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    # A shell ignores this in its background jobs, and a server would inherit it for good.
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler and not SIG_IGN, which the servers would inherit.
        signal.signal(number, lambda *_: None)
    return reader


def _drain(reader: socket.socket) -> None:
    with suppress(BlockingIOError):  # it was not a signal
        reader.recv(4096)


def main() -> int:
    """Run a keeper; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m chat4all_storage.embedded.keeper")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--no-redis", action="store_true")
    parser.add_argument("--throwaway", action="store_true", help="remove DATA_DIR at the end")
    options = parser.parse_args()
    servers: list[type[Server]] = []
    if not options.no_postgres:
        servers.append(Postgres)
    if not options.no_redis:
        servers.append(Redis)
    data_dir = options.data_dir.resolve()
    try:
        Keeper(Layout(data_dir), servers, throwaway=options.throwaway).run()
    except EmbeddedError as error:
        failure = error
    except OSError as error:
        mend = mend_of(str(error), "see keeper.log in its logs")
        failure = EmbeddedError(f"the embedded servers of {data_dir} failed", str(error), mend)
    else:
        return 0
    _log(str(failure))
    _tell({"error": [failure.what, failure.why, failure.mend]})
    return 1


if __name__ == "__main__":
    sys.exit(main())
