"""Every frame of the wire protocol. Read this first; `SPEC.md` says when each is sent.

Each WebSocket message is one MessagePack map with string keys; `t` names the frame. Times are
integer milliseconds since the epoch (UTC), ids canonical UUID strings, users their names.
A field that is `None` or holds its default is left out on the wire; unknown keys are ignored.

| a client sends | and is answered | what it is for |
|---|---|---|
| `connect` | `ready` | the first frame: who, on which device, and what it has |
| `send`, `edit`, `delete`, `react` | `sent` | an event of a conversation, stored |
| `fetch` | `page` | events that were stored |
| `recv`, `read`, `typing` | | how far somebody is, and that one composes |
| `create`, `info` | `conv` | conversations and their members |
| `file` | `file` | how far an upload has come |
| `watch` | `presence` | who is there |
| `mode`, `refresh` | `ok` | how the user is present; a newer token |
| `ping` | `pong` | a sign of life |

A server greets with `hello`, refuses a request with `error`, pushes `msg`, `receipt`, `typing`,
`presence`, `conv` and `file`, announces a hole by `gap` and a drain by `reconnect`.
"""

from typing import Final

from .client import (
    AnyClientFrame,
    AskFile,
    ClientFrame,
    Connect,
    Create,
    Delete,
    Edit,
    Fetch,
    Info,
    Mode,
    Ping,
    React,
    Read,
    Recv,
    Refresh,
    Send,
    Typing,
    Watch,
)
from .fields import (
    FETCH_LIMIT,
    MAX_EMOJI,
    MAX_INTEGER,
    Body,
    Channel,
    ConversationType,
    Device,
    Emoji,
    FileBody,
    Id,
    Kind,
    MemberBody,
    MemberName,
    Position,
    Rid,
    SendBody,
    Seq,
    TextBody,
    Title,
    Token,
    TypingKind,
    UploadState,
    Username,
)
from .server import (
    AnyServerFrame,
    Composing,
    Conv,
    ConvState,
    Error,
    FileProgress,
    Gap,
    Hello,
    Limits,
    Member,
    Msg,
    Ok,
    Page,
    Pong,
    Presence,
    Ready,
    Receipt,
    Reconnect,
    Sent,
    ServerFrame,
)

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL: Final = "chat4all.v1"

__all__ = [
    "FETCH_LIMIT",
    "MAX_EMOJI",
    "MAX_INTEGER",
    "PROTOCOL_VERSION",
    "SUBPROTOCOL",
    "AnyClientFrame",
    "AnyServerFrame",
    "AskFile",
    "Body",
    "Channel",
    "ClientFrame",
    "Composing",
    "Connect",
    "Conv",
    "ConvState",
    "ConversationType",
    "Create",
    "Delete",
    "Device",
    "Edit",
    "Emoji",
    "Error",
    "Fetch",
    "FileBody",
    "FileProgress",
    "Gap",
    "Hello",
    "Id",
    "Info",
    "Kind",
    "Limits",
    "Member",
    "MemberBody",
    "MemberName",
    "Mode",
    "Msg",
    "Ok",
    "Page",
    "Ping",
    "Pong",
    "Position",
    "Presence",
    "React",
    "Read",
    "Ready",
    "Receipt",
    "Reconnect",
    "Recv",
    "Refresh",
    "Rid",
    "Send",
    "SendBody",
    "Sent",
    "Seq",
    "ServerFrame",
    "TextBody",
    "Title",
    "Token",
    "Typing",
    "TypingKind",
    "UploadState",
    "Username",
    "Watch",
]
