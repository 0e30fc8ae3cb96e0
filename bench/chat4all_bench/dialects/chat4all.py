"""Our own protocol, version 1: MessagePack maps over binary frames. See `protocol/SPEC.md`.

Only the fields that are needed are decoded: the generator must cost less than what it measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct, field

from .base import Acknowledged, Delivered, Fetched, Gap, Refused, Step

if TYPE_CHECKING:
    from .base import Event, Session

PAGE: Final = 100
"""Events that are fetched at once: the most that a server gives."""


# --- what is said -------------------------------------------------------------------------------


class _Connect(Struct, tag_field="t", tag="connect", omit_defaults=True):
    token: str
    device: str
    cursors: dict[str, int] | None = None


class _Text(Struct, tag_field="type", tag="text", gc=False):
    text: str


class _Send(Struct, tag_field="t", tag="send", gc=False):
    rid: int
    conv: str
    id: str
    body: _Text


class _Fetch(Struct, tag_field="t", tag="fetch"):
    rid: int
    conv: str
    after: int
    limit: int


# --- what is heard ------------------------------------------------------------------------------


class _Sent(Struct, tag_field="t", tag="sent", gc=False):
    rid: int
    seq: int
    dup: bool


class _Body(Struct, gc=False):
    text: str = ""


class _Msg(Struct, tag_field="t", tag="msg", gc=False):
    seq: int
    body: _Body | None


class _State(Struct):
    conv: str
    head: int


class _Ready(Struct, tag_field="t", tag="ready"):
    convs: list[_State]


class _Gap(Struct, tag_field="t", tag="gap"):
    conv: str
    from_: int = field(name="from")
    to: int


class _Page(Struct, tag_field="t", tag="page"):
    rid: int
    conv: str
    items: list[_Msg]
    more: bool


class _Error(Struct, tag_field="t", tag="error"):
    code: str
    rid: int | None = None


class _Reconnect(Struct, tag_field="t", tag="reconnect"):
    after_ms: int


class _Hello(Struct, tag_field="t", tag="hello"):
    pass


class _Conv(Struct, tag_field="t", tag="conv"):
    pass


class _Receipt(Struct, tag_field="t", tag="receipt"):
    pass


class _Typing(Struct, tag_field="t", tag="typing"):
    pass


class _Presence(Struct, tag_field="t", tag="presence"):
    pass


class _File(Struct, tag_field="t", tag="file"):
    pass


class _Ok(Struct, tag_field="t", tag="ok"):
    pass


class _Pong(Struct, tag_field="t", tag="pong"):
    pass


_Any: TypeAlias = (
    _Sent
    | _Msg
    | _Ready
    | _Gap
    | _Page
    | _Error
    | _Reconnect
    | _Hello
    | _Conv
    | _Receipt
    | _Typing
    | _Presence
    | _File
    | _Ok
    | _Pong
)

_FETCHES: Final = 1 << 62
"""Request numbers of fetches begin here; the rest of one is the position where its gap ends."""


class Chat4all:
    """See the module's docstring."""

    path = "/ws"
    subprotocol: str | None = "chat4all.v1"
    text = False
    acknowledges = True

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._ids: dict[int, str] = {}
        """What the ids of a client's messages begin with."""
        self._decode = msgspec.msgpack.Decoder(_Any).decode

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`: with the position where it left off, if it was there before."""
        seat = session.seat
        cursors = {seat.room: session.position} if seat.room and session.position else None
        return Step((self._encode(_Connect(seat.token, seat.device, cursors)),))

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        frame = self._decode(payload)
        kind = type(frame)
        if kind is _Msg:
            return Delivered("" if frame.body is None else frame.body.text, frame.seq)
        if kind is _Sent:
            if frame.dup:
                return Refused("an id was used before: take another --seed", frame.rid)
            return Acknowledged(frame.rid, frame.seq)
        return self._seldom(session, frame)

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`. The id follows from room, client and number: it is reproducible."""
        seat = session.seat
        prefix = self._ids.get(seat.number)
        if prefix is None:
            prefix = f"{seat.number:08x}-{text[2:6]}-4000-8000-"
            self._ids[seat.number] = prefix
        return self._encode(_Send(number, seat.room, f"{prefix}{number:012x}", _Text(text)))

    def _seldom(self, session: Session, frame: _Any) -> Event | None:
        match frame:
            case _Ready(convs):
                room = session.seat.room
                heads = [state.head for state in convs if state.conv == room]
                return Step(ready=True, head=heads[0] if heads else 0)
            case _Gap(conv, first, last):
                fetch = _Fetch(_FETCHES + last, conv, first - 1, PAGE)
                return Gap(last - first + 1, (self._encode(fetch),))
            case _Page(rid, conv, items):
                last = rid - _FETCHES
                inside = [each for each in items if each.seq <= last]
                again: tuple[bytes, ...] = ()
                if inside and inside[-1].seq < last:
                    fetch = _Fetch(rid, conv, inside[-1].seq, PAGE)
                    again = (self._encode(fetch),)
                texts = [("" if e.body is None else e.body.text, e.seq) for e in inside]
                return Fetched(texts, again)
            case _Error(code, rid):
                return Refused(code, rid if rid is not None and rid < _FETCHES else None)
            case _Reconnect():
                return Refused("RECONNECT")
        return None
