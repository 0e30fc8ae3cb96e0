"""The connection that commits: what the shard log has gathered, in one statement.

It is apart from the other connections of the database, as everybody waits for it: see `libpq.py`.
Nothing is sent before the one before was answered, so the log has one writer here as everywhere.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import UNSET

from ..ports.errors import Rejected, Unavailable
from ..ports.events import KINDS, CommitResult, Mark, Outcome, Status
from ..ports.logical_shards import logical_shard
from . import binary
from .connections import ACQUIRE_TIMEOUT, COMMAND_TIMEOUT, ERRORS, maybe_written
from .libpq import TimeLimit
from .outbox import packed
from .prepared import open_prepared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..ports.events import Append, Rules
    from .libpq import LibpqConnection

_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
_STATUSES: Final = tuple(Status)
_NAME: Final = b"commit"
_COMMIT: Final = (
    "SELECT o_status, coalesce(o_first, 0), coalesce(o_second, 0)"
    " FROM commit_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
    " $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)"
    # Without rows of its own, and after the former: it looks at the watermarks that stand then.
    " UNION ALL SELECT o_status, o_first, o_second FROM note_rises($23, $24, $27)"
)
_ROW: Final = struct.Struct(">hqq")
_NO_CHANGES: Final = (
    binary.integers(binary.INT8, []),
    binary.integers(binary.INT4, []),
    binary.texts([]),
    binary.byteas([]),
    binary.integers(binary.INT8, []),
)

Row = tuple[int, ...]


class CommitConnection:
    """One database's."""

    def __init__(self, dsn: str, prepare: Callable[[], Awaitable[None]], rules: Rules) -> None:
        """`prepare()` has to succeed before each connection is opened."""
        self._dsn = dsn
        self._rules = rules
        self._prepare = prepare
        self._connection: LibpqConnection | None = None
        self._turn = trio.Lock()
        self._closed = False

    async def commit(
        self, appends: Sequence[Append], marks: Sequence[Mark], writer: str
    ) -> CommitResult:
        """See `ShardStore.commit`; `writer` goes into the journal.

        Raises:
            Unavailable, Rejected: nothing was written.
            InDoubt: it may have been.
        """
        try:
            values = _values(appends, marks, self._rules, writer)
        except ValueError as error:
            raise Rejected(f"a value can't be sent to PostgreSQL: {error}") from error
        await self._take_turn()
        try:
            rows = await self._execute(values)
        finally:
            self._turn.release()
        return _result(appends, marks, rows)

    async def _take_turn(self) -> None:
        """Wait for other writes, if there are any: a lock that is free costs no switch of tasks."""
        try:
            self._turn.acquire_nowait()
            return
        except trio.WouldBlock:
            pass
        with trio.move_on_after(ACQUIRE_TIMEOUT) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            raise Unavailable("another write takes too long")

    def close(self) -> None:
        """Give it up; a commit under way fails, and so do later ones."""
        self._closed = True
        self._drop()

    async def _execute(self, values: list[bytes]) -> list[Row]:
        connection = await self._opened()
        try:
            with TimeLimit(COMMAND_TIMEOUT):
                found = await connection.execute(_NAME, values)
        except ERRORS as error:
            meaning = maybe_written(error)
            if not isinstance(meaning, Rejected):
                self._drop()
            raise meaning from error
        except BaseException:
            self._drop()
            raise
        return list(_ROW.iter_unpack(found))

    async def _opened(self) -> LibpqConnection:
        if self._closed:
            raise Unavailable("the store is closed")
        if self._connection is None:
            self._connection = await open_prepared(self._dsn, self._prepare, _NAME, _COMMIT)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _values(
    appends: Sequence[Append], marks: Sequence[Mark], rules: Rules, writer: str
) -> list[bytes]:
    return [
        binary.uuids([a.conversation for a in appends]),
        binary.texts([a.sender for a in appends]),
        binary.uuids([a.id for a in appends]),
        binary.integers(binary.INT2, [_KIND_NUMBERS[a.kind] for a in appends]),
        binary.integers(binary.INT8, [a.digest for a in appends]),
        binary.integers(binary.INT8, [a.reply_to for a in appends]),
        binary.integers(binary.INT8, [a.target for a in appends]),
        binary.byteas([a.body for a in appends]),
        binary.byteas([a.meta for a in appends]),
        binary.texts([a.subject for a in appends]),
        binary.texts([a.role for a in appends]),
        binary.byteas([a.trace for a in appends]),
        binary.texts([packed(a.channels) for a in appends]),
        binary.texts([a.channel for a in appends]),
        *_changes(appends),
        binary.int4(rules.member_limit),
        binary.int8(round(rules.edit_window * 1000)),
        binary.int8(round(rules.delete_window * 1000)),
        binary.uuids([m.conversation for m in marks]),
        binary.texts([m.user for m in marks]),
        binary.integers(binary.INT8, [m.recv for m in marks]),
        binary.integers(binary.INT8, [m.read for m in marks]),
        writer.encode(),
    ]


def _changes(appends: Sequence[Append]) -> tuple[bytes, ...]:
    """What changes the conversations themselves: few entries of a batch, if any."""
    changes = [(n, a.change) for n, a in enumerate(appends, 1) if a.change is not None]
    if not changes:
        return _NO_CHANGES
    settings = [(each.title, each.metadata, each.retention) for _, each in changes]
    given: list[list[Any]] = [[None if each is UNSET else each for each in one] for one in settings]
    bits = [sum(1 << bit for bit, each in enumerate(one) if each is not UNSET) for one in settings]
    return (
        binary.integers(binary.INT8, [n for n, _ in changes]),
        binary.integers(binary.INT4, bits),
        binary.texts([title for title, _, _ in given]),
        binary.byteas([metadata for _, metadata, _ in given]),
        binary.integers(binary.INT8, [retention for _, _, retention in given]),
    )


def _result(appends: Sequence[Append], marks: Sequence[Mark], rows: list[Row]) -> CommitResult:
    outcomes = [Outcome(_STATUSES[status], seq, ts) for status, seq, ts in rows[: len(appends)]]
    now_stand = [
        None if status else Mark(mark.conversation, mark.user, recv, read)
        for mark, (status, recv, read) in zip(marks, rows[len(appends) :], strict=True)
    ]
    moved = frozenset[int]()
    if any(row[0] == Status.MOVED for row in rows):
        conversations = [a.conversation for a in appends] + [m.conversation for m in marks]
        moved = frozenset(
            logical_shard(conversation)
            for conversation, row in zip(conversations, rows, strict=True)
            if row[0] == Status.MOVED
        )
    return CommitResult(outcomes, now_stand, moved)
