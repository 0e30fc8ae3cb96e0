"""Frames are checked before they are sent: the server closes the connection for some faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from chat4all_protocol.codec import CodecError, decode_client, encode
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import (
    MAX_INTEGER,
    Delete,
    Edit,
    Msg,
    React,
    Send,
    SendBody,
    TextBody,
)
from chat4all_protocol.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_protocol.frames import AnyClientFrame, Sent

    from .errors import RequestRefused

Posted: TypeAlias = Send | Edit | Delete | React
"""A frame that becomes an event."""


def check(frame: AnyClientFrame, max_frame: int, refusal: type[RequestRefused]) -> None:
    """Refuse here what the server would refuse, as far as the frame alone tells.

    Raises:
        RequestRefused: of the kind `refusal`.
    """
    data = encode(frame)
    if len(data) > max_frame:
        raise refusal(ErrorCode.TOO_LARGE, f"{len(data)} bytes, the server takes {max_frame}")
    try:
        decode_client(data, max_size=max_frame)
    except CodecError as error:
        raise refusal(error.code, error.message, error.field) from None


def message(
    conversation: str,
    body: str | SendBody,
    id_: str | None,
    reply_to: int | None,
    channels: Sequence[str] | None,
    meta: dict[str, Any] | None,
) -> Send:
    """A `send` frame, with the longest `rid` there is in the place of the one to come."""
    return Send(
        rid=MAX_INTEGER,
        conv=conversation,
        id=id_ or new_id(),
        body=TextBody(body) if isinstance(body, str) else body,
        reply_to=reply_to,
        channels=list(channels) if channels is not None else None,
        meta=meta,
    )


def edit(conversation: str, target: int, body: str | SendBody, id_: str | None) -> Edit:
    """An `edit` frame, likewise."""
    return Edit(
        rid=MAX_INTEGER,
        conv=conversation,
        id=id_ or new_id(),
        target=target,
        body=TextBody(body) if isinstance(body, str) else body,
    )


def delete(conversation: str, target: int, id_: str | None) -> Delete:
    """A `delete` frame, likewise."""
    return Delete(rid=MAX_INTEGER, conv=conversation, id=id_ or new_id(), target=target)


def react(conversation: str, target: int, emoji: str, id_: str | None, *, on: bool) -> React:
    """A `react` frame, likewise."""
    return React(
        rid=MAX_INTEGER,
        conv=conversation,
        id=id_ or new_id(),
        target=target,
        emoji=emoji,
        on=on,
    )


def event_of(frame: Posted, sent: Sent, user: str) -> Msg:
    """The event that a frame of `user` has become."""
    own = Msg(conv=sent.conv, seq=sent.seq, id=sent.id, from_=user, ts=sent.ts, body=None)
    if isinstance(frame, Delete):
        return replace(own, kind="delete", target=frame.target)
    if isinstance(frame, Edit):
        return replace(own, kind="edit", target=frame.target, body=frame.body)
    if isinstance(frame, React):
        meta = {"emoji": frame.emoji, "on": frame.on}
        return replace(own, kind="react", target=frame.target, meta=meta)
    return replace(own, body=frame.body, reply_to=frame.reply_to, meta=frame.meta)
