"""ejabberd with its archive in PostgreSQL, from a directory that holds it as if it were `/`.

What is on disk when a client knows was seen with PostgreSQL stopped: a room gives a message back
to nobody, its writer included, before its row is committed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .database import USER, DidNotStart, free_port, postgres, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import asyncpg

HOST: Final = "bench.local"
PASSWORD: Final = "bench-password"

_CONFIGURATION: Final = """\
hosts: ["{host}"]
loglevel: warning
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    backlog: 4096
    request_handlers: {{/ws: ejabberd_http_ws}}
auth_method: sql
auth_password_format: plain
default_db: sql
new_sql_schema: true
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: {postgres_port}
sql_database: {user}
sql_username: {user}
sql_password: ""
access_rules:
  local: {{allow: all}}
  c2s: {{allow: all}}
modules:
  mod_mam:
    db_type: sql
    default: always
  mod_muc:
    access: all
    access_create: all
    history_size: 0
    max_users: 20000
    default_room_options:
      mam: true
      max_users: 20000
      presence_broadcast: []
"""

# What ejabberdctl gives the emulator, and no busy waiting: it would count as processor time.
_EMULATOR: Final = ("-noinput", "+P", "250000", "+Q", "65536", "+sbwt", "none")
_EMULATOR_DIRTY: Final = ("+sbwtdcpu", "none", "+sbwtdio", "none")


class Ejabberd(Struct, frozen=True):
    """One that runs."""

    pid: int
    port: int
    postgres_pid: int
    postgres_port: int

    def add_users(self, names: Sequence[str]) -> None:
        """Make accounts."""
        asyncio.run(_add_users(self.postgres_port, names))


@contextmanager
def ejabberd(root: Path, directory: Path) -> Iterator[Ejabberd]:
    """Run it in an empty directory.

    Nothing is kept in its own database: rooms are temporary, accounts and the archive are in
    PostgreSQL.

    Raises:
        DidNotStart: it, or its PostgreSQL, did not.
    """
    with postgres(directory) as (postgres_pid, postgres_port):
        (schema,) = root.glob("usr/share/ejabberd/sql/pg.new.sql")
        asyncio.run(_make_tables(postgres_port, schema.read_text()))
        port = free_port()
        settings = _CONFIGURATION.format(
            host=HOST, port=port, postgres_port=postgres_port, user=USER
        )
        (directory / "ejabberd.yml").write_text(settings)
        process = _start(root, directory)
        try:
            wait_for_port(process, port, directory / "ejabberd.log")
            yield Ejabberd(process.pid, port, postgres_pid, postgres_port)
        finally:
            process.terminate()
            process.wait()


def _start(root: Path, directory: Path) -> subprocess.Popen[bytes]:
    erlang = root / "usr" / "lib" / "erlang"
    try:
        (binaries,) = erlang.glob("erts-*/bin")
        (libraries,) = {found.parent for found in root.glob("usr/lib/*/ejabberd-*")}
    except ValueError:
        raise DidNotStart(f"{root} holds no ejabberd; remove it, so that it is made anew") from None
    env = os.environ | {
        "ROOTDIR": str(erlang),
        "BINDIR": str(binaries),
        "EMU": "beam",
        "PROGNAME": "erl",
        "ERL_LIBS": str(libraries),
        "LD_LIBRARY_PATH": str(libraries),
        "HOME": str(directory),
        "EJABBERD_CONFIG_PATH": str(directory / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(directory / "ejabberd.log"),
    }
    spool = ["-mnesia", "dir", f'"{directory / "spool"}"', "-s", "ejabberd"]
    command = [str(binaries / "erlexec"), *_EMULATOR, *_EMULATOR_DIRTY, *spool]
    with (directory / "erlang.log").open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=directory
        )


async def _make_tables(port: int, schema: str) -> None:
    first = await _connect(port, "postgres")
    await first.execute(f"CREATE DATABASE {USER}")
    await first.close()
    database = await _connect(port, USER)
    await database.execute(schema)
    await database.close()


async def _add_users(port: int, names: Sequence[str]) -> None:
    database = await _connect(port, USER)
    await database.copy_records_to_table(
        "users",
        records=[(name, HOST, PASSWORD) for name in names],
        columns=["username", "server_host", "password"],
    )
    await database.close()


async def _connect(port: int, database: str) -> asyncpg.Connection:
    import asyncpg

    return await asyncpg.connect(host="127.0.0.1", port=port, user=USER, database=database)
