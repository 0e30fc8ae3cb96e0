"""Every frame of the wire protocol. Read this first.

Each WebSocket message is one MessagePack map with string keys; `t` names the frame. Times are
integer milliseconds since the epoch (UTC), ids canonical UUID strings, users their names.
A field that is `None` or holds its default is left out on the wire; unknown keys are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from .ids import CHANNEL_PATTERN, DEVICE_PATTERN, USERNAME_PATTERN, UUID_PATTERN

PROTOCOL_VERSION = 1
SUBPROTOCOL = "chat4all.v1"

MAX_INTEGER = 2**63 - 1
FETCH_LIMIT = 100
"""The most events one `fetch` asks for, and the most replayed per conversation at a connect."""

Id: TypeAlias = Annotated[str, Meta(pattern=UUID_PATTERN)]
Username: TypeAlias = Annotated[str, Meta(pattern=USERNAME_PATTERN)]
Device: TypeAlias = Annotated[str, Meta(pattern=DEVICE_PATTERN)]
Rid: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seq: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Position: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]  # 0: before the first
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00]*\Z")]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=8192)]
Channel: TypeAlias = Annotated[str, Meta(pattern=CHANNEL_PATTERN)]
ConversationType: TypeAlias = Literal["private", "group"]
Kind: TypeAlias = Literal["message", "edit", "delete", "react", "join", "leave", "change"]
TypingKind: TypeAlias = Literal["text", "voice", "file"]


# --- bodies -------------------------------------------------------------------------------------


class TextBody(Struct, tag_field="type", tag="text", frozen=True, gc=False):
    """A text; `hello.limits.text` is its greatest length in characters."""

    text: Annotated[str, Meta(min_length=1)]


class FileBody(Struct, tag_field="type", tag="file", frozen=True, omit_defaults=True, gc=False):
    """A file that was uploaded before, with an optional caption."""

    file_id: Id
    text: str | None = None


class MemberBody(Struct, tag_field="type", tag="member", frozen=True, omit_defaults=True, gc=False):
    """Whom a `join` or `leave` event is about; the event's `from` is who did it."""

    user: str
    role: str | None = None


SendBody: TypeAlias = TextBody | FileBody
Body: TypeAlias = TextBody | FileBody | MemberBody


# --- client to server ---------------------------------------------------------------------------


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
    emoji: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"\A[^\x00]*\Z")]
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
    members: Annotated[list[Username], Meta(max_length=1000)]
    title: Title | None = None


class Info(ClientFrame, tag="info", frozen=True):
    """Ask for a conversation's members and their watermarks. Answer: `conv`."""

    rid: Rid
    conv: Id


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
    | Refresh
    | Ping
)


# --- server to client ---------------------------------------------------------------------------


class ServerFrame(Struct, tag_field="t", frozen=True, omit_defaults=True):
    """Base of all frames that a server sends."""


class Limits(Struct, frozen=True):
    """What this server accepts."""

    frame: int  # bytes of one WebSocket message
    text: int  # characters of one text
    inflight: int  # requests that may wait for an answer; the server reads no further
    rate: int  # messages a minute of one user; 0 is unlimited


class Hello(ServerFrame, tag="hello", frozen=True):
    """The server's first frame."""

    proto: int
    node: str
    now: int
    heartbeat_ms: int
    limits: Limits


class ConvState(Struct, frozen=True, omit_defaults=True):
    """A conversation in `ready`: where it stands and where this user stands in it."""

    conv: str
    type: str
    head: int
    read: int
    recv: int
    unread: int  # messages of others after `read`, counted up to 1,000
    title: str | None = None
    peer: str | None = None  # the other member of a private conversation


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
    id: str
    seq: int
    ts: int
    dup: bool


class Msg(ServerFrame, tag="msg", frozen=True):
    """A durable event of a conversation."""

    conv: str
    seq: int
    id: str
    from_: str = field(name="from")
    ts: int
    body: Body | None
    kind: Kind = "message"
    reply_to: int | None = None
    target: int | None = None
    meta: dict[str, Any] | None = None
    channel: str | None = None
    deleted: bool = False
    edited_at: int | None = None


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
    user: str
    recv: int
    read: int


class Composing(ServerFrame, tag="typing", frozen=True):
    """A member is composing; take it down after `ttl` milliseconds."""

    conv: str
    user: str
    kind: str
    ttl: int


class Presence(ServerFrame, tag="presence", frozen=True):
    """Whether a watched user is there; `last_seen` only when not, and only if it is known."""

    user: str
    status: Literal["online", "away", "offline"]
    last_seen: int | None = None


class Member(Struct, frozen=True):
    """A member's role and watermarks."""

    role: str
    recv: int
    read: int


class Conv(ServerFrame, tag="conv", frozen=True):
    """A conversation that was created or changed, or that was asked for."""

    conv: str
    type: str
    members: list[str]
    head: int
    rid: int | None = None
    title: str | None = None
    details: dict[str, Member] | None = None  # by member; all of them in the answer to `info`
    metadata: dict[str, Any] | None = None
    retention: int | None = None  # seconds after which messages are emptied
    changed: bool = False  # the reader has it already: only what is shown here has changed
    left: bool = False  # the reader is no longer a member


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
    field: str | None = None  # the field at fault, as a path
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
    | Ok
    | Pong
    | Error
    | Reconnect
)
