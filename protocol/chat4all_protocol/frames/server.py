"""What a server sends."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from .fields import Body, Kind, UploadState


class ServerFrame(Struct, tag_field="t", frozen=True, omit_defaults=True):
    """Base of all frames that a server sends."""


class Limits(Struct, frozen=True):
    """What this server accepts."""

    frame: int
    """Bytes of one WebSocket message."""
    text: int
    """Characters of one text."""
    inflight: int
    """Requests that may wait for an answer; the server reads no further."""
    rate: int
    """Messages a minute of one user; 0 is unlimited."""


class Hello(ServerFrame, tag="hello", frozen=True):
    """The server's first frame."""

    proto: int
    node: str
    """Which node this is, for logs."""
    now: int
    heartbeat_ms: int
    """The server pings a client that is quiet for so long."""
    limits: Limits


class ConvState(Struct, frozen=True, omit_defaults=True):
    """A conversation in `ready`: where it stands and where this user stands in it."""

    conv: str
    type: str
    head: int
    read: int
    recv: int
    unread: int
    """Messages of others after `read`, counted up to 1,000."""
    title: str | None = None
    peer: str | None = None
    """The other member of a private conversation."""


class Ready(ServerFrame, tag="ready", frozen=True):
    """The answer to `connect`; what was missed follows."""

    session: str
    user: str
    now: int
    convs: list[ConvState]
    more: bool


class Sent(ServerFrame, tag="sent", frozen=True):
    """The event is committed: it stands at `seq` for good."""

    rid: int
    conv: str
    """The conversation's id."""
    id: str
    """The event's id, as it was sent."""
    seq: int
    """Its number in the conversation: 1, 2, 3, … without gaps."""
    ts: int
    """When it was committed, in ms since the epoch."""
    dup: bool
    """It was stored before: by an earlier request, or by a commit that had to be repeated."""


class Msg(ServerFrame, tag="msg", frozen=True):
    """A durable event of a conversation."""

    conv: str
    """The conversation's id."""
    seq: int
    """Its number in the conversation: 1, 2, 3, … without gaps, the same for every reader."""
    id: str
    """As its sender chose it."""
    from_: str = field(name="from")
    """Who sent it, or did it."""
    ts: int
    """When it was committed, in ms since the epoch."""
    body: Body | None
    """None where there is nothing to say, or nothing any more."""
    kind: Kind = "message"
    reply_to: int | None = None
    """The `seq` of the message that this one answers."""
    target: int | None = None
    """The `seq` of the message that an edit, a deletion or a reaction is about."""
    meta: dict[str, Any] | None = None
    """As its sender gave it, or what a `change` changed."""
    channel: str | None = None
    """The external channel that it came through."""
    deleted: bool = False
    """It is a deleted message, or the edit of one, read from history."""
    edited_at: int | None = None
    """When its body was last replaced, in ms since the epoch, read from history."""


class Gap(ServerFrame, tag="gap", frozen=True):
    """Events `from`..`to` were not pushed and will not be: fetch them."""

    conv: str
    from_: int = field(name="from")
    to: int


class Page(ServerFrame, tag="page", frozen=True):
    """Events in ascending order; `more` tells whether the direction asked for goes on."""

    rid: int
    conv: str
    items: list[Msg]
    more: bool


class Receipt(ServerFrame, tag="receipt", frozen=True):
    """A member's watermarks; both only ever grow."""

    conv: str
    """The conversation's id."""
    user: str
    recv: int
    """A device of the user holds everything up to this `seq`."""
    read: int
    """The user has read everything up to this `seq`."""


class Composing(ServerFrame, tag="typing", frozen=True):
    """A member is composing; take it down after `ttl`, or at a message of that user."""

    conv: str
    """The conversation's id."""
    user: str
    kind: str
    """`text`, `voice` or `file`."""
    ttl: int
    """In milliseconds."""


class Presence(ServerFrame, tag="presence", frozen=True):
    """Whether a watched user is there."""

    user: str
    status: Literal["online", "away", "offline"]
    last_seen: int | None = None
    """In ms since the epoch; only when offline, and only if it is known."""


class Member(Struct, frozen=True):
    """A member's role and watermarks."""

    role: str
    recv: int
    read: int


class Conv(ServerFrame, tag="conv", frozen=True):
    """A conversation that was created or changed, or that was asked for."""

    conv: str
    """The conversation's id."""
    type: str
    """`private` or `group`."""
    members: list[str]
    """Their names."""
    head: int
    """The last `seq` there is; 0 before the first event."""
    rid: int | None = None
    title: str | None = None
    details: dict[str, Member] | None = None
    """By member; all of them in the answer to `info`."""
    metadata: dict[str, Any] | None = None
    retention: int | None = None
    """Seconds after which messages are emptied."""
    changed: bool = False
    """The reader has it already: only what is shown here has changed."""
    left: bool = False
    """The reader is no longer a member."""


class FileProgress(ServerFrame, tag="file", frozen=True):
    """How far a file of the reader has come: asked for, or because its state has changed."""

    file: str
    """The file's id."""
    state: UploadState
    uploaded: int
    """Bytes of the parts that came whole."""
    size: int
    """Bytes of the whole."""
    name: str
    mime: str
    """As it was told; once it is checked, what the bytes are."""
    rid: int | None = None
    reason: str | None = None
    """A word: why it is rejected or quarantined."""
    width: int | None = None
    """Of an image, in pixels."""
    height: int | None = None
    thumbnail: bool = False
    """Whether there is a thumbnail to fetch."""


class Ok(ServerFrame, tag="ok", frozen=True):
    """Done."""

    rid: int


class Pong(ServerFrame, tag="pong", frozen=True):
    """The answer to `ping`."""

    now: int
    at: int | None = None


class Error(ServerFrame, tag="error", frozen=True):
    """Refused, and nothing was changed or stored."""

    code: str
    message: str
    temporary: bool
    rid: int | None = None
    field: str | None = None
    """The field at fault, as a path."""
    retry_after_ms: int | None = None


class Reconnect(ServerFrame, tag="reconnect", frozen=True):
    """This node drains: open a new connection after `after_ms`, then let this one close."""

    after_ms: int


AnyServerFrame: TypeAlias = (
    Hello
    | Ready
    | Sent
    | Msg
    | Gap
    | Page
    | Receipt
    | Composing
    | Presence
    | Conv
    | FileProgress
    | Ok
    | Pong
    | Error
    | Reconnect
)
