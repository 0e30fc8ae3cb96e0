"""An event from its row, as either driver gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from ..ports.events import KINDS, StoredEvent
from .binary import read_integer, read_uuid

if TYPE_CHECKING:
    from .libpq import Row

EVENT_COLUMNS: Final = (
    "e.conversation, e.seq, e.id, e.sender, e.kind, e.ts, e.body, e.reply_to, e.target, e.meta,"
    " e.channel, e.deleted, e.edited_at, e.deleted_at"
)


def event_of(row: Any, first: int) -> StoredEvent:
    """The event in a row, whose columns begin at `first`."""
    return StoredEvent(
        conversation=str(row[first]),
        seq=row[first + 1],
        id=str(row[first + 2]),
        sender=row[first + 3],
        kind=KINDS[row[first + 4]],
        ts=row[first + 5],
        body=row[first + 6],
        reply_to=row[first + 7],
        target=row[first + 8],
        meta=row[first + 9],
        channel=row[first + 10],
        deleted=row[first + 11],
        edited_at=row[first + 12],
        deleted_at=row[first + 13],
    )


def read_event(row: Row, first: int) -> StoredEvent:
    """The same of a row of libpq's, whose values are binary."""
    conversation, seq, id_, sender, kind, ts, deleted = cast(
        "list[bytes]", [*row[first : first + 6], row[first + 11]]
    )
    body, reply_to, target, meta, channel = row[first + 6 : first + 11]
    edited_at, deleted_at = row[first + 12 : first + 14]
    return StoredEvent(
        conversation=read_uuid(conversation),
        seq=read_integer(seq),
        id=read_uuid(id_),
        sender=sender.decode(),
        kind=KINDS[read_integer(kind)],
        ts=read_integer(ts),
        body=body,
        reply_to=None if reply_to is None else read_integer(reply_to),
        target=None if target is None else read_integer(target),
        meta=meta,
        channel=None if channel is None else channel.decode(),
        deleted=deleted != b"\0",
        edited_at=None if edited_at is None else read_integer(edited_at),
        deleted_at=None if deleted_at is None else read_integer(deleted_at),
    )
