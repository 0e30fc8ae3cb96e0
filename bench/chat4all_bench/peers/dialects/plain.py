"""The servers that speak plain WebSockets: see `servers/__init__.py` for what they do.

A message is its text. A client's own message comes back like anybody's, and that it did is its
acknowledgement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...dialects.base import Acknowledged, Delivered, Step
from ...generator import header

if TYPE_CHECKING:
    from ...dialects.base import Event, Session

_READY: Final = Step(ready=True)


class Echo:
    """Every message comes back."""

    path = "/echo"
    subprotocol: str | None = None
    text = False
    acknowledges = True

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`."""
        return _READY

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        _, number, _ = _read(payload.decode())
        return Acknowledged(number)

    def message(self, session: Session, number: int, text: str) -> bytes:
        """See `base.Dialect`."""
        return text.encode()


class Room(Echo):
    """Every message goes to all members of the room that the first one named."""

    path = "/room"

    def begin(self, session: Session) -> Step:
        """See `base.Dialect`: the room's name comes back when its messages will, too."""
        name = session.seat.room or f"alone-{session.seat.number}"
        return Step((name.encode(),))

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """See `base.Dialect`."""
        if session.stage == 0:
            session.stage = 1
            return _READY
        text = payload.decode()
        speaker, number, _ = _read(text)
        return Acknowledged(number) if speaker == session.seat.speaker else Delivered(text)


def _read(text: str) -> tuple[int, int, int]:
    found = header.read(text, text[: header.TAG])
    if found is None:
        raise ValueError("no header")
    return found
