"""A connection to PostgreSQL that trio itself waits for: libpq on one socket, without a thread.

A call over the bridge wakes two threads that share the interpreter's lock: measured with a commit
of one message, 0.7 ms of processor time and 2.6 ms in all, against 0.2 and 1.1 ms this way, and the
node's own work comes in between where it is busy. So what every message waits for goes this way
(`commit.py`), and all else, which is many kinds of queries, through asyncpg.

Values travel in PostgreSQL's binary format (`binary.py`).
https://www.postgresql.org/docs/current/libpq-async.html
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
import trio
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

Row: TypeAlias = "list[bytes | None]"
"""The values of a row in PostgreSQL's binary format, None for a null."""

BINARY: Final = pq.Format.BINARY
_GOOD: Final = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})
_DEFAULT_PORT: Final = "5432"


class ServerError(Exception):
    """The server refused, as it says itself."""

    def __init__(self, message: str, sqlstate: str, severity: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.severity = severity
        """`ERROR`, `FATAL` or `PANIC`."""


class TimeLimit:
    """Cancels what takes longer than so many seconds; raises `TimeoutError` then."""

    __slots__ = ("_scope", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scope = trio.move_on_after(seconds)

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError(f"no answer within {self._seconds:g} s") from None


class LibpqConnection:
    """One connection, for one task at a time.

    Whoever is cancelled in the middle of a call closes it: what it was asked for may have happened.
    """

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str, settings: Mapping[str, str]) -> LibpqConnection:
        """Connect, with these settings of the session.

        Raises:
            ServerError: the server refuses.
            OSError: it can't be reached.
            ValueError: `dsn` is none.
        """
        connection = pq.PGconn.connect_start((await _conninfo(dsn, settings)).encode())
        opened = cls(connection)
        try:
            await opened._finish_connecting()
        except BaseException:
            opened.close()
            raise
        return opened

    async def prepare(self, name: bytes, query: str) -> None:
        """Let the server prepare a statement; raises as `execute`."""
        try:
            self._connection.send_prepare(name, query.encode())
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from error
        await self._result()

    async def execute(self, name: bytes, values: Sequence[bytes]) -> bytes:
        """Run a prepared statement with binary values; its answer is binary too.

        Returns the values of all rows one after the other, without a mark between them.

        Raises:
            ServerError: the server refused.
            OSError: the connection was lost, and what was asked for may have happened.
        """
        result = await self._run(name, values)
        get, columns = result.get_value, range(result.nfields)
        found = [get(row, column) for row in range(result.ntuples) for column in columns]
        return b"".join([value for value in found if value is not None])

    async def rows(self, name: bytes, values: Sequence[bytes]) -> list[Row]:
        """The same; returns the values of each row, None for a null."""
        result = await self._run(name, values)
        get, columns = result.get_value, range(result.nfields)
        return [[get(row, column) for column in columns] for row in range(result.ntuples)]

    def close(self) -> None:
        """Give it up at once."""
        with suppress(psycopg.OperationalError):  # it has no socket any more
            trio.lowlevel.notify_closing(self._connection.socket)
        self._connection.finish()

    async def _run(self, name: bytes, values: Sequence[bytes]) -> pq.abc.PGresult:
        formats = [BINARY] * len(values)
        try:
            self._connection.send_query_prepared(name, values, formats, BINARY)
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from error
        return await self._result()

    async def _finish_connecting(self) -> None:
        connection = self._connection
        if connection.status == pq.ConnStatus.BAD:
            raise ConnectionError(_said(connection))
        state = pq.PollingStatus.WRITING
        while state != pq.PollingStatus.OK:
            # libpq may change its socket between two polls.
            if state == pq.PollingStatus.READING:
                await trio.lowlevel.wait_readable(connection.socket)
            elif state == pq.PollingStatus.WRITING:
                await trio.lowlevel.wait_writable(connection.socket)
            else:
                raise ConnectionError(_said(connection))
            state = pq.PollingStatus(connection.connect_poll())
        connection.nonblocking = 1

    async def _result(self) -> pq.abc.PGresult:
        """The result of the one statement that is under way."""
        connection = self._connection
        try:
            # A server reads a statement as a whole before it says anything: no need to listen yet.
            while connection.flush():
                await trio.lowlevel.wait_writable(connection.socket)
            found: pq.abc.PGresult | None = None
            while True:
                while connection.is_busy():
                    await trio.lowlevel.wait_readable(connection.socket)
                    connection.consume_input()
                result = connection.get_result()
                if result is None:
                    break
                found = result
        except (psycopg.OperationalError, trio.ClosedResourceError) as error:
            raise ConnectionError(str(error)) from error
        if found is None:
            raise ConnectionError("no answer")
        if found.status not in _GOOD:
            raise _failure(found)
        return found


def _failure(result: pq.abc.PGresult) -> Exception:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    message = result.get_error_message()
    if state is None:  # libpq's own words: the connection is gone
        return ConnectionError(message)
    severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) or b"ERROR"
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    said = primary.decode(errors="replace") if primary is not None else message
    return ServerError(said, state.decode(), severity.decode())


def _said(connection: pq.abc.PGconn) -> str:
    return connection.get_error_message()


async def _conninfo(dsn: str, settings: Mapping[str, str]) -> str:
    """`dsn` with the settings, and with addresses for names: libpq would look them up itself.

    That would stop the whole node until the name server answers.
    """
    dsn, more = _without_settings(dsn)
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError as error:
        raise ValueError(f"not a DSN: {error}".rstrip()) from error
    settings = more | dict(settings)
    given = [f"-c {key}={value.replace(' ', chr(92) + ' ')}" for key, value in settings.items()]
    parts["options"] = " ".join([*filter(None, [parts.get("options")]), *given])
    parts["client_encoding"] = "UTF8"
    host = parts.get("host", "")
    if host and "hostaddr" not in parts and not _is_path(host):
        hosts, ports, addresses = await _look_up(host.split(","), parts.get("port", ""))
        parts |= {"host": hosts, "port": ports, "hostaddr": addresses}
    return make_conninfo("", **parts)


def _without_settings(dsn: str) -> tuple[str, dict[str, str]]:
    """`dsn` without what libpq does not know, which asyncpg takes for settings of the session."""
    parts = urlsplit(dsn)
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    given = [
        ("dbname" if key == "database" else key, value) for key, value in parse_qsl(parts.query)
    ]
    kept = urlencode([(key, value) for key, value in given if key in known], quote_via=quote)
    more = {key: value for key, value in given if key not in known}
    return (parts._replace(query=kept).geturl() if given else dsn), more


def _is_path(host: str) -> bool:
    return any(each.startswith(("/", "@")) for each in host.split(","))


async def _look_up(hosts: list[str], port: str) -> tuple[str, str, str]:
    """Hosts, ports and addresses, one for each address that the hosts have."""
    ports = port.split(",") if port else [_DEFAULT_PORT]
    if len(ports) == 1:
        ports *= len(hosts)
    found: list[tuple[str, str, str]] = []
    failure: OSError | None = None
    for each, its_port in zip(hosts, ports, strict=True):
        number = its_port or _DEFAULT_PORT
        try:
            answers = await trio.socket.getaddrinfo(each, number, type=trio.socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            continue
        found += [(each, number, str(address[0])) for *_, address in answers]
    if not found:
        raise failure or ConnectionError("no host")
    names, numbers, addresses = zip(*found, strict=True)
    return ",".join(names), ",".join(numbers), ",".join(addresses)
