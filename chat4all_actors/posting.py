"""What a message must be and what is stored of it, whichever way it comes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from chat4all_protocol.codec import encode_body, encode_meta
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import FileBody, MemberBody, SettingsBody
from chat4all_storage.ports import Append, Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chat4all_protocol.frames import SendBody

    from .config import Settings

_OWN_CHANNELS: Final = frozenset({"internal", "all"})


class Unfit(Struct, frozen=True):
    """Why a message can't be taken, and the field at fault."""

    code: ErrorCode
    message: str
    field: str


def judge(
    settings: Settings,
    body: SendBody,
    meta: dict[str, Any] | None,
    channels: Sequence[str] | None,
) -> Unfit | None:
    """Why the message can't be taken, if so."""
    if isinstance(body, FileBody):
        return Unfit(ErrorCode.INVALID_PAYLOAD, "files are not offered", "body.type")
    if len(body.text) > settings.max_text:
        words = f"a text has at most {settings.max_text} characters"
        return Unfit(ErrorCode.TOO_LARGE, words, "body.text")
    if meta is not None and len(encode_meta(meta)) > settings.max_meta:
        return Unfit(ErrorCode.TOO_LARGE, f"meta has at most {settings.max_meta} bytes", "meta")
    for channel in channels or ():
        if channel not in _OWN_CHANNELS:
            words = f"channel {channel} is not configured"
            return Unfit(ErrorCode.CHANNEL_UNAVAILABLE, words, "channels")
    return None


def message_append(
    conversation: str,
    sender: str,
    id_: str,
    body: SendBody,
    *,
    reply_to: int | None = None,
    meta: dict[str, Any] | None = None,
) -> Append:
    """A message as it is stored; the digest is over everything that the sender wrote."""
    stored = encode_body(body)
    stored_meta = encode_meta(meta) if meta is not None else None
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="message",
        body=stored,
        digest=_digest(b"%d %b %b" % (reply_to or 0, stored, stored_meta or b"")),
        reply_to=reply_to,
        meta=stored_meta,
    )


def edit_append(conversation: str, sender: str, id_: str, target: int, body: SendBody) -> Append:
    """The edit of message `target`."""
    stored = encode_body(body)
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="edit",
        body=stored,
        digest=_digest(b"edit %d %b" % (target, stored)),
        target=target,
    )


def delete_append(conversation: str, sender: str, id_: str, target: int) -> Append:
    """The deletion of message `target`."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="delete",
        body=None,
        digest=_digest(b"delete %d" % target),
        target=target,
    )


def member_append(
    conversation: str,
    sender: str,
    id_: str,
    kind: Literal["join", "leave", "change"],
    subject: str,
    role: str | None = None,
) -> Append:
    """A member that comes, goes, or gets another role."""
    stored = encode_body(MemberBody(subject, role))
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind=kind,
        body=stored,
        digest=_digest(b"%b %b" % (kind.encode(), stored)),
        subject=subject,
        role=role,
    )


def settings_append(
    conversation: str,
    sender: str,
    id_: str,
    *,
    title: str | UnsetType | None = UNSET,
    metadata: dict[str, Any] | UnsetType | None = UNSET,
    retention: int | UnsetType | None = UNSET,
) -> Append:
    """What is to be different about a group; `retention` is in seconds."""
    stored = encode_body(SettingsBody(title=title, meta=metadata, retention=retention))
    kept = encode_meta(metadata) if isinstance(metadata, dict) else metadata
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="change",
        body=stored,
        digest=_digest(b"change %b" % stored),
        change=Change(title=title, metadata=kept, retention=retention),
    )


def creation_digest(title: str | None, metadata: bytes | None, roles: Mapping[str, str]) -> int:
    """Over what the creator of a group wrote."""
    return _digest(msgspec.msgpack.encode((title, metadata, dict(roles))))


def _digest(content: bytes) -> int:
    """64 bits with sign over what the sender wrote."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
