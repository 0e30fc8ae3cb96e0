"""Socket.IO 4 over WebSockets alone: packets of Engine.IO 4 that hold those of Socket.IO.

`0{…}` opens, `40` joins the namespace, `2` asks whether one is there and `3` says so; `42` is an
event, `421["join","a"]` one that wants acknowledgement 1, and `431[]` is that. A message's number
is the number of its acknowledgement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ...dialects.base import Acknowledged, Delivered, Refused, Step

if TYPE_CHECKING:
    from ...dialects.base import Event, Session

_ANSWERED: Final = Step(ready=True)
_PONG: Final = Step((b"3",))
_NAMESPACE: Final = Step((b"40",))
_MESSAGE: Final = b'42["message",'
_JOIN_ID: Final = 0
"""Of the acknowledgement; those of messages are 1, 2, 3, …"""


class Room:
    """An event goes to all other members of the room, and is acknowledged."""

    path = "/socket.io/?EIO=4&transport=websocket"
    subprotocol: str | None = None
    text = True
    acknowledges = True
    event = "message"

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode_text = msgspec.json.Decoder(tuple[str, str]).decode

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`: the server speaks first."""
        return Step()

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        if payload.startswith(_MESSAGE):
            return Delivered(self._decode_text(payload[2:])[1])
        if payload.startswith(b"43"):
            number = int(payload[2 : payload.index(b"[")])
            return _ANSWERED if number == _JOIN_ID else Acknowledged(number)
        if payload == b"2":
            return _PONG
        if payload.startswith(b"0"):
            return _NAMESPACE
        if payload.startswith(b"40"):
            return self.joined(session)
        return Refused(f"Socket.IO packet {payload[:2].decode()}")

    def joined(self, session: Session) -> Step:
        """What is said when the namespace was joined."""
        name = session.seat.room or f"alone-{session.seat.number}"
        return Step((b"42%d" % _JOIN_ID + self._encode(("join", name)),))

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`."""
        return b"42%d" % number + self._encode((self.event, text))


class Echo(Room):
    """An event is acknowledged with what it said."""

    event = "echo"

    def joined(self, session: Session) -> Step:
        """No room is needed."""
        return _ANSWERED
