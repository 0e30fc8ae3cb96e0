"""The rules of one connection, without I/O: who may send what, when, in which order.

Each side feeds the bytes of every WebSocket message it receives into its object, and acts on the
frame it gets back. The server's object refuses what a client must not send; the client's object
checks what a server promises: `hello` first, and in each conversation ascending events whose
holes are announced.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from .codec import MAX_FRAME, CodecError, UnknownFrame, decode_client, decode_server
from .codes import CloseCode, ErrorCode
from .frames import (
    AnyClientFrame,
    AnyServerFrame,
    Connect,
    Conv,
    Error,
    Gap,
    Hello,
    Msg,
    Ping,
    Ready,
    Sent,
)

MAX_BAD_FRAMES: Final = 3
"""Messages that are no frame, in one connection; at this one it is closed."""


_EVENTS: Final = (Msg, Sent, Gap)


class State(Enum):
    """How far a connection has come."""

    OPENED = auto()
    """No `hello` yet (seen from the client) or no `connect` yet (from the server)."""
    CONNECTING = auto()
    """`connect` is being answered."""
    LIVE = auto()
    """`ready` was sent."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to answer to a message that may not be acted on, and whether to close after it."""

    error: Error
    close: CloseCode | None = None


class ServerConnection:
    """The server's view of one client."""

    __slots__ = ("_bad_frames", "_max_frame", "state")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self.state = State.OPENED
        self._max_frame = max_frame
        self._bad_frames = 0

    def receive(self, data: bytes) -> AnyClientFrame | Refusal:
        """The frame in `data` if the client may send it now, else what to answer."""
        try:
            frame = decode_client(data, max_size=self._max_frame)
        except CodecError as error:
            return self._refuse_undecodable(error)
        if self.state is State.LIVE:
            if type(frame) is not Connect:
                return frame
            return Refusal(
                _error(ErrorCode.BAD_FRAME, "connect was sent before"), CloseCode.BAD_FRAME
            )
        if type(frame) is Connect:
            if self.state is State.OPENED:
                self.state = State.CONNECTING
                return frame
            return Refusal(
                _error(ErrorCode.BAD_FRAME, "connect was sent before"), CloseCode.BAD_FRAME
            )
        if type(frame) is Ping:
            return frame
        opened = self.state is State.OPENED
        return Refusal(
            Error(
                code=ErrorCode.UNAUTHENTICATED,
                message="send connect first" if opened else "wait for ready",
                temporary=False,
                rid=getattr(frame, "rid", None),
            )
        )

    def went_live(self) -> None:
        """`ready` was sent."""
        self.state = State.LIVE

    def _refuse_undecodable(self, error: CodecError) -> Refusal:
        close = None
        if error.code is ErrorCode.BAD_FRAME:
            self._bad_frames += 1
            if self._bad_frames >= MAX_BAD_FRAMES:
                close = CloseCode.INVALID_DATA
        return Refusal(
            Error(
                code=error.code,
                message=error.message,
                temporary=False,
                rid=error.rid,
                field=error.field,
            ),
            close,
        )


def _error(code: ErrorCode, message: str) -> Error:
    return Error(code=code, message=message, temporary=False)


class ProtocolViolation(Exception):
    """The server broke a rule of the protocol; the connection can't be trusted any more."""


class ClientConnection:
    """The client's view of one server, and where it stands in each conversation.

    `positions` is the `seq` up to which each conversation's events have passed this connection
    (or were announced by `gap`): the cursors to resume from, once the gaps have been fetched.
    """

    __slots__ = (
        "_announced",
        "_cursors",
        "_unconfirmed",
        "hello",
        "positions",
        "ready",
        "state",
    )

    def __init__(self) -> None:
        self.state = State.OPENED
        self.hello: Hello | None = None
        self.ready: Ready | None = None
        self.positions: dict[str, int] = {}
        self._cursors: dict[str, int] = {}
        # Conversations whose position is the head that a `conv` told, or the own event that was
        # the first to show them: earlier events may still be on their way.
        self._announced: set[str] = set()
        # Cursors of conversations that `ready` did not list: the user may have left them long
        # ago, and is then introduced to them anew by a `conv`.
        self._unconfirmed: set[str] = set()

    def connecting(self, connect: Connect) -> None:
        """`connect` is about to be sent.

        Raises:
            ProtocolViolation: `hello` has not come yet, or `connect` was sent before.
        """
        if self.hello is None or self.state is not State.OPENED:
            raise ProtocolViolation("connect follows hello, once")
        self.state = State.CONNECTING
        self._cursors = dict(connect.cursors or {})

    def receive(self, data: bytes) -> AnyServerFrame | None:
        """The frame in `data`, or `None` for one that this version does not know: ignore it.

        Raises:
            ProtocolViolation: it is not valid, or the server may not send it now.
        """
        try:
            frame = decode_server(data)
        except UnknownFrame as error:
            if self.hello is None:
                raise ProtocolViolation("hello comes first") from error
            return None
        except CodecError as error:
            raise ProtocolViolation(f"invalid frame: {error.message}") from error
        if self.hello is None:
            if not isinstance(frame, Hello):
                raise ProtocolViolation("hello comes first")
            self.hello = frame
        elif isinstance(frame, Hello):
            raise ProtocolViolation("hello comes once")
        elif isinstance(frame, _EVENTS) and self.state is not State.LIVE:
            raise ProtocolViolation("events come after ready")
        elif isinstance(frame, Msg):
            self._pass(frame.conv, frame.seq, frame.seq)
        elif isinstance(frame, Sent):
            self._pass_own(frame)
        elif isinstance(frame, Gap):
            if frame.to < frame.from_:
                raise ProtocolViolation("gap ends before it begins")
            self._pass(frame.conv, frame.from_, frame.to)
        elif isinstance(frame, Ready):
            self._went_live(frame)
        elif isinstance(frame, Conv):
            self._note(frame)
        return frame

    def _note(self, conv: Conv) -> None:
        if conv.left:
            # What happens there from now on is not for this user, even if added again later.
            self.positions.pop(conv.conv, None)
            self._announced.discard(conv.conv)
        elif conv.details is None and (
            conv.conv not in self.positions or conv.conv in self._unconfirmed
        ):
            # The answer to `info` introduces nothing: it may come before the user is let in.
            self._start(conv.conv, conv.head)

    def _start(self, conv: str, head: int) -> None:
        self.positions[conv] = head
        self._announced.add(conv)
        self._unconfirmed.discard(conv)

    def _went_live(self, ready: Ready) -> None:
        if self.state is not State.CONNECTING:
            raise ProtocolViolation("ready answers connect, once")
        self.state = State.LIVE
        self.ready = ready
        self.positions = dict(self._cursors)
        self._announced.clear()
        self._unconfirmed = set(self._cursors) - {conv.conv for conv in ready.convs}
        for conv in ready.convs:
            # A cursor beyond the head was never given by this server: start at its head.
            cursor = self._cursors.get(conv.conv, conv.head)
            self.positions[conv.conv] = min(cursor, conv.head)

    def _pass(self, conv: str, first: int, last: int) -> None:
        """Events `first`..`last` pass: they must follow what passed before.

        A conversation that `ready` did not list (`more`) starts with its first event; one that was
        announced starts with any event up to the one after the announced head.
        """
        position = self.positions.get(conv)
        if conv in self._announced:
            self._announced.discard(conv)
            if first <= self.positions[conv]:
                position = None
        if position is not None and first != position + 1:
            raise ProtocolViolation(
                f"conversation {conv}: seq {first} after {position} without a gap frame"
            )
        self.positions[conv] = last
        self._unconfirmed.discard(conv)

    def _pass_own(self, sent: Sent) -> None:
        position = self.positions.get(sent.conv)
        if position is None:
            if not sent.dup:
                self._start(sent.conv, sent.seq)
        elif not sent.dup or sent.seq > position:
            self._pass(sent.conv, sent.seq, sent.seq)
        # Else it answers a retry of what passed already, here or before this connection.
