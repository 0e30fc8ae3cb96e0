"""Stored events as frames, frames as bytes for the socket, and the refusals that recur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Raw

from chat4all_protocol.codec import encode, stored_body
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import Conv, Error, FileProgress, Member, Msg, ServerFrame
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Status

from .rfc6455 import binary_frame

if TYPE_CHECKING:
    from chat4all_storage.ports.events import StoredEvent
    from chat4all_storage.ports.files import File
    from chat4all_storage.ports.shard import Conversation

RETRY_AFTER_MS: Final = 1000

_REFUSALS: Final = {
    Status.CONFLICT: (ErrorCode.CONFLICT, "this id was used for another message", "id"),
    Status.BAD_REFERENCE: (ErrorCode.INVALID_PAYLOAD, "reply_to names no event", "reply_to"),
    Status.ALREADY_MEMBER: (ErrorCode.CONFLICT, "already a member", "username"),
    Status.NO_SUCH_MEMBER: (ErrorCode.NOT_FOUND, "no such member", "username"),
    Status.FULL: (ErrorCode.CONFLICT, "the conversation has as many members as it may", None),
    Status.FORBIDDEN: (ErrorCode.FORBIDDEN, "your role here does not allow this", None),
    Status.BAD_TARGET: (ErrorCode.NOT_FOUND, "target is no message", "target"),
    Status.TARGET_DELETED: (ErrorCode.CONFLICT, "the message was deleted before", "target"),
    Status.LAST_OWNER: (
        ErrorCode.CONFLICT,
        "the only owner has to make another user an owner first, or to remove the others",
        "username",
    ),
    Status.TOO_LATE: (ErrorCode.FORBIDDEN, "it is too late to change this message", "target"),
}


def message(event: StoredEvent) -> Msg:
    """The `msg` of an event; body and meta are copied as they were stored."""
    return Msg(
        conv=event.conversation,
        seq=event.seq,
        id=event.id,
        from_=event.sender,
        ts=event.ts,
        body=None if event.body is None else stored_body(event.body),
        kind=event.kind,
        reply_to=event.reply_to,
        target=event.target,
        meta=_raw(event.meta),
        channel=event.channel,
        deleted=event.deleted,
        edited_at=event.edited_at,
    )


def framed(frame: ServerFrame) -> bytes:
    """A frame as the bytes of one WebSocket message."""
    return binary_frame(encode(frame))


def view(
    stored: Conversation,
    *,
    head: int,
    rid: int | None = None,
    left: bool = False,
    changed: bool = False,
    details: dict[str, Member] | None = None,
) -> Conv:
    """A conversation as its `conv` frame."""
    return Conv(
        conv=stored.id,
        type=stored.type,
        title=stored.title,
        members=[] if left else list(stored.members),
        head=head,
        rid=rid,
        left=left,
        changed=changed,
        details=details,
        metadata=_raw(None if left else stored.metadata),
        retention=None if left else stored.retention,
    )


def progress(file: File, uploaded: int, *, rid: int | None = None) -> FileProgress:
    """How far a file has come, of which so many bytes are there."""
    assert file.state != "removing"  # it is nobody's any more
    return FileProgress(
        file=file.id,
        state=file.state,
        uploaded=uploaded,
        size=file.size,
        name=file.name,
        mime=file.mime,
        rid=rid,
        reason=file.reason,
        width=file.width,
        height=file.height,
        thumbnail=file.thumbnail is not None,
    )


def _raw(meta: bytes | None) -> dict[str, Any] | None:
    """A map as it was stored, to be copied unread."""
    return None if meta is None else cast("dict[str, Any]", Raw(meta))


def unavailable(
    rid: int | None, message: str = "try again shortly", *, retry_after: float | None = None
) -> Error:
    """Not now: nothing was stored. `retry_after` is in seconds."""
    return Error(
        code=ErrorCode.UNAVAILABLE,
        message=message,
        temporary=True,
        rid=rid,
        retry_after_ms=RETRY_AFTER_MS if retry_after is None else int(retry_after * 1000),
    )


def not_found(rid: int | None) -> Error:
    """No such conversation, or none that this user may know of."""
    return refusal(ErrorCode.NOT_FOUND, "no such conversation", rid)


def refusal(
    code: ErrorCode, message: str, rid: int | None = None, *, field: str | None = None
) -> Error:
    """For good: sending the same again changes nothing."""
    return Error(code=code, message=message, temporary=False, rid=rid, field=field)


def explain(rid: int, why: Status | Unavailable | Rejected) -> Error:
    """Why an append was not stored."""
    if isinstance(why, Unavailable):
        return unavailable(rid)
    if isinstance(why, Rejected):
        return refusal(ErrorCode.INTERNAL, "the message can't be stored", rid)
    if why is Status.NOT_MEMBER:
        return not_found(rid)
    code, text, field = _REFUSALS[why]
    return refusal(code, text, rid, field=field)
