"""Events as they are to be stored, whichever way they came: over a WebSocket or HTTP.

The same content has the same digest on either way, so that a retry on the other one is known as
such. Whether the sender may store it is decided by the store.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from chat4all_protocol.codec import encode_body, encode_meta
from chat4all_protocol.frames import FileBody, MemberBody, TextBody
from chat4all_storage.ports.events import Append, Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chat4all_protocol.frames import SendBody


def message(
    conversation: str,
    sender: str,
    id_: str,
    body: SendBody,
    *,
    reply_to: int | None = None,
    meta: Mapping[str, Any] | None = None,
    channels: Sequence[str] | None = None,
    trace: bytes | None = None,
) -> Append:
    """A message."""
    encoded = encode_body(body)
    more = encode_meta(dict(meta)) if meta is not None else None
    chosen = b"" if channels is None else b" to " + ",".join(sorted(channels)).encode()
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="message",
        body=encoded,
        digest=digest_of(
            b"%d %b %b%b"
            % (
                reply_to or 0,
                encoded if type(body) is TextBody else _said(body),
                more or b"",
                chosen,
            )
        ),
        reply_to=reply_to,
        meta=more,
        channels=None if channels is None else tuple(channels),
        trace=trace,
    )


def edit(
    conversation: str,
    sender: str,
    id_: str,
    target: int,
    body: SendBody,
    *,
    trace: bytes | None = None,
) -> Append:
    """A new body for the message at `target`."""
    encoded = encode_body(body)
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="edit",
        body=encoded,
        digest=digest_of(
            b"edit %d %b" % (target, encoded if type(body) is TextBody else _said(body))
        ),
        target=target,
        trace=trace,
    )


def _said(body: SendBody) -> bytes:
    """What its sender said: what a file is the server adds, and is no part of it."""
    return encode_body(FileBody(body.file_id, body.text) if isinstance(body, FileBody) else body)


def delete(
    conversation: str, sender: str, id_: str, target: int, *, trace: bytes | None = None
) -> Append:
    """The end of the message at `target`."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="delete",
        body=None,
        digest=digest_of(b"delete %d" % target),
        target=target,
        trace=trace,
    )


def react(
    conversation: str,
    sender: str,
    id_: str,
    target: int,
    emoji: str,
    *,
    on: bool,
    trace: bytes | None = None,
) -> Append:
    """A reaction to the message at `target`, put or taken back."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="react",
        body=None,
        digest=digest_of(f"react {target} {on:d} {emoji}".encode()),
        target=target,
        meta=encode_meta({"emoji": emoji, "on": on}),  # in this order: stores rely on it
        trace=trace,
    )


def join(
    conversation: str, sender: str, id_: str, user: str, role: str, *, trace: bytes | None = None
) -> Append:
    """A new member."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="join",
        body=encode_body(MemberBody(user, role)),
        digest=digest_of(f"join {user} {role}".encode()),
        subject=user,
        role=role,
        trace=trace,
    )


def leave(
    conversation: str, sender: str, id_: str, user: str, *, trace: bytes | None = None
) -> Append:
    """A member goes, or is removed."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="leave",
        body=encode_body(MemberBody(user)),
        digest=digest_of(f"leave {user}".encode()),
        subject=user,
        trace=trace,
    )


def role(
    conversation: str, sender: str, id_: str, user: str, role: str, *, trace: bytes | None = None
) -> Append:
    """Another role for a member."""
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="change",
        body=None,
        digest=digest_of(f"role {user} {role}".encode()),
        meta=encode_meta({"user": user, "role": role}),
        subject=user,
        role=role,
        trace=trace,
    )


def change(
    conversation: str,
    sender: str,
    id_: str,
    *,
    title: str | UnsetType | None = UNSET,
    metadata: Mapping[str, Any] | UnsetType | None = UNSET,
    retention: int | UnsetType | None = UNSET,
    trace: bytes | None = None,
) -> Append:
    """Other settings of the conversation; what is unset stays."""
    wanted = {"title": title, "metadata": metadata, "retention": retention}
    meta = encode_meta({name: value for name, value in wanted.items() if value is not UNSET})
    stored = encode_meta(dict(metadata)) if metadata else None
    return Append(
        conversation=conversation,
        sender=sender,
        id=id_,
        kind="change",
        body=None,
        digest=digest_of(b"change " + meta),
        meta=meta,
        change=Change(title, UNSET if metadata is UNSET else stored, retention),
        trace=trace,
    )


def digest_of(content: bytes) -> int:
    """64 bits with sign that tell one content from another."""
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
