"""What a generator must know of a server to put load on it: its dialect, without any I/O.

WebSocket frames, connections, the clock, histograms and integrity are common to all servers. A
dialect makes the payloads of messages that clients send, and says what those that arrive mean.

A message is a text that begins with a header of the generator's (`header.py`): who wrote it, which
number it has, and when it was due. Servers carry it unaltered, so whoever receives it can check
order and completeness, and take the time, whatever the dialect.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from msgspec import Struct


class Seat(Struct, frozen=True, array_like=True, gc=False):
    """Who a client is, and in which room it sits. A pair is a room of two."""

    number: int
    """Its own, among all clients of a round."""
    user: str
    token: str
    """What it authenticates with; a dialect without authentication leaves it."""
    device: str
    room: str = ""
    """The server's name of the room; empty for a client that only connects."""
    room_number: int = -1
    """The room's own, among all rooms of a round."""
    speaker: int = -1
    """Its place among those who write in the room; -1 for who only reads."""
    speakers: int = 0
    """How many write there."""
    node: int = 0
    """To which of the server's ports it connects, by its place among them."""


class Session(Protocol):
    """What a dialect sees of a client. One dialect object serves all clients of a process."""

    seat: Seat
    position: int
    """Of the last event that it holds, where the server numbers them within a room; or 0."""
    stage: int
    """The dialect's own: how far the opening has come. 0 at each new connection."""


class Step(Struct, frozen=True, gc=False):
    """The opening goes on, or something must be answered."""

    say: tuple[bytes, ...] = ()
    """Payloads to send now."""
    ready: bool = False
    """The client may send, and gets what is sent to its room."""
    head: int = 0
    """With `ready`: the room's last position. One who was there before has caught up with it."""


class Acknowledged(Struct, frozen=True, gc=False):
    """The server has taken message `number` of this client; an echo has come back."""

    number: int
    position: int = 0


class Delivered(Struct, frozen=True, gc=False):
    """Somebody else's message."""

    text: str
    position: int = 0


class Gap(Struct, frozen=True, gc=False):
    """The server said that it did not push some events; `say` asks for them."""

    events: int
    say: tuple[bytes, ...] = ()


class Fetched(Struct, frozen=True, gc=False):
    """Events that were asked for after a `Gap`: (text, position) each; they may come late."""

    items: list[tuple[str, int]]
    say: tuple[bytes, ...] = ()


class Refused(Struct, frozen=True, gc=False):
    """An error. Of message `number`, which then is not stored; None: of something else."""

    reason: str
    """Short, such as a code: equal ones are counted together."""
    number: int | None = None


Event: TypeAlias = Step | Acknowledged | Delivered | Gap | Fetched | Refused


class Dialect(Protocol):
    """One kind of server. Made once in each process of the generator, without arguments."""

    path: str
    """Of the WebSocket: `/ws`."""
    subprotocol: str | None
    text: bool
    """Whether clients send text frames; both kinds are received."""
    acknowledges: bool
    """Whether each message is answered with `Acknowledged`. Needed for a closed loop."""

    def begin(self, session: Session) -> Step:
        """Say what comes first on a new connection; `ready` when that is all."""
        ...

    def receive(self, session: Session, payload: bytes) -> Event | None:
        """Say what a payload means; None for what does not matter.

        A client's own message that is sent back to it is `Acknowledged` or nothing, never
        `Delivered`. What may raise (`ValueError`, `msgspec.DecodeError`) counts as an error.
        """
        ...

    def message(self, session: Session, number: int, text: str) -> bytes:
        """Write a message to the session's room. Numbers are 1, 2, 3, … for each client."""
        ...
