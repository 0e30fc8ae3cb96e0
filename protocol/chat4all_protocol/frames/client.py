"""What a client sends. A request carries a `rid`, which its answer repeats."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from .fields import (
    FETCH_LIMIT,
    Channel,
    ConversationType,
    Device,
    Emoji,
    Id,
    MemberName,
    Position,
    Rid,
    SendBody,
    Seq,
    Title,
    Token,
    TypingKind,
    Username,
)


class ClientFrame(Struct, tag_field="t", frozen=True, omit_defaults=True):
    """Base of all frames that a client sends."""


class Connect(ClientFrame, tag="connect", frozen=True):
    """The first frame: who, on which device, and where it left off. Answer: `ready`."""

    token: Token
    device: Device
    cursors: Annotated[dict[Id, Position], Meta(max_length=1000)] | None = None
    since: Position | None = None
    background: bool = False


class Send(ClientFrame, tag="send", frozen=True):
    """Store a message. `id` is the idempotency key. Answer: `sent`."""

    rid: Rid
    conv: Id
    id: Id
    body: SendBody
    reply_to: Seq | None = None
    channels: Annotated[list[Channel], Meta(max_length=16)] | None = None
    meta: dict[str, Any] | None = None


class Edit(ClientFrame, tag="edit", frozen=True):
    """Replace the body of an own message `target`. Answer: `sent`."""

    rid: Rid
    conv: Id
    id: Id
    target: Seq
    body: SendBody


class Delete(ClientFrame, tag="delete", frozen=True):
    """Delete message `target`: a tombstone keeps its `seq`. Answer: `sent`."""

    rid: Rid
    conv: Id
    id: Id
    target: Seq


class React(ClientFrame, tag="react", frozen=True):
    """Put a reaction on message `target`, or take it away. Answer: `sent`."""

    rid: Rid
    conv: Id
    id: Id
    target: Seq
    emoji: Emoji
    on: bool


class Fetch(ClientFrame, tag="fetch", frozen=True):
    """Read the first events above `after`, else the last ones (below `before`). Answer: `page`."""

    rid: Rid
    conv: Id
    after: Position | None = None
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=FETCH_LIMIT)] = FETCH_LIMIT

    def __post_init__(self) -> None:
        """Refuse two bounds at once."""
        if self.after is not None and self.before is not None:
            raise ValueError("after and before exclude each other")


class Recv(ClientFrame, tag="recv", frozen=True):
    """This user's devices hold everything up to `seq`. No answer."""

    conv: Id
    seq: Position


class Read(ClientFrame, tag="read", frozen=True):
    """This user has read everything up to `seq`. No answer."""

    conv: Id
    seq: Position


class Typing(ClientFrame, tag="typing", frozen=True):
    """This user is composing. No answer."""

    conv: Id
    kind: TypingKind = "text"


class Watch(ClientFrame, tag="watch", frozen=True):
    """Follow the presence of these users, in place of those of the last `watch`."""

    users: Annotated[list[Username], Meta(max_length=1000)]


class Mode(ClientFrame, tag="mode", frozen=True):
    """Change how this user is present; what is left out stays. Answer: `ok`."""

    rid: Rid
    background: bool | None = None
    invisible: bool | None = None


class Create(ClientFrame, tag="create", frozen=True):
    """Open a conversation with `members` (the creator is one of its own accord). Answer: `conv`."""

    rid: Rid
    type: ConversationType
    members: Annotated[list[MemberName], Meta(max_length=1000)]
    title: Title | None = None


class Info(ClientFrame, tag="info", frozen=True):
    """Ask for a conversation's members and their watermarks. Answer: `conv`."""

    rid: Rid
    conv: Id


class AskFile(ClientFrame, tag="file", frozen=True):
    """Ask how far an own file has come. Answer: `file`."""

    rid: Rid
    file: Id


class Refresh(ClientFrame, tag="refresh", frozen=True):
    """Go on with a newer token of the same user. Answer: `ok`."""

    rid: Rid
    token: Token


class Ping(ClientFrame, tag="ping", frozen=True):
    """Ask for a sign of life. Answer: `pong` with the same `at`."""

    at: Position | None = None


AnyClientFrame: TypeAlias = (
    Connect
    | Send
    | Edit
    | Delete
    | React
    | Fetch
    | Recv
    | Read
    | Typing
    | Watch
    | Mode
    | Create
    | Info
    | AskFile
    | Refresh
    | Ping
)
