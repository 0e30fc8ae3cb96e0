"""RFC 6455 frames, server side, without I/O.

`FrameDecoder` turns the bytes a client sent after the handshake into events; the
`*_frame` functions build the bytes a server sends. Data messages are binary only and no
extension is ever negotiated, so an encoded frame may be shared between any number of sockets.

Nothing here raises because of what a peer sent: a breach of the protocol is the last event,
`Violation`, behind whatever was complete before it. The caller answers it with
`close_frame(violation.code, violation.reason)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from chat4all_protocol.codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CONTROL_PAYLOAD: Final = 125
"""Largest payload of a ping, pong or close frame, in bytes (RFC 6455 section 5.5)."""

MAX_FRAGMENTS: Final = 1024
"""Frames one message may come in: 64 bytes each at 64 KiB. Stops floods of empty fragments,
which never reach a limit in bytes."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping; answer it with `pong_frame(ping.payload)`."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong, asked for or not."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The client's close frame, always the last event; `code` is None when it carried none."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the protocol, always the last event; `reason` fits a close frame."""

    code: CloseCode
    reason: str


Event: TypeAlias = bytes | Ping | Pong | CloseReceived | Violation
"""What a decoder yields; plain `bytes` are one whole binary message."""


def _apply_mask(data: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """XOR `data` with the repeated four bytes of `mask`."""
    size = len(data)
    repeated = (bytes(mask) * (size // 4 + 1))[:size]
    number = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(size, "big")


apply_mask: Callable[[bytes | bytearray, bytes | bytearray], bytes]
try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets was built without its C extension
    apply_mask = _apply_mask


_FIN: Final = 0x80
_RESERVED_BITS: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F

_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_FIRST_CONTROL: Final = 0x8
_OPCODES: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_WHOLE_BINARY: Final = _FIN | _BINARY


class FrameDecoder:
    """Decodes the stream of one client.

    After a `CloseReceived` or a `Violation` all further data is ignored. Between messages a
    decoder holds no buffer; otherwise at most `max_message` bytes and one header or control
    frame, because a length is judged before any of its payload is kept.

    Args:
        max_message: Largest message accepted, in bytes, summed over its fragments.

    Raises:
        ValueError: If `max_message` is not positive.
    """

    __slots__ = ("_closed", "_fragments", "_max_message", "_message", "_need", "_partial")

    def __init__(self, max_message: int) -> None:
        if max_message < 1:
            raise ValueError(f"max_message must be positive, not {max_message}")
        self._max_message = max_message
        # The start of a frame, and how many bytes of the frame the next step needs in all.
        self._partial: bytearray | None = None
        self._need = 0
        # The fragments so far of an unfinished message, and their number.
        self._message: bytearray | None = None
        self._fragments = 0
        self._closed = False

    @property
    def buffered(self) -> int:
        """Bytes held back: a partial frame and the fragments of an unfinished message."""
        return len(self._partial or b"") + len(self._message or b"")

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Return the events that `data` completes, in order.

        `data` may begin and end anywhere in the stream and is not referred to afterwards.
        """
        events: list[Event] = []
        if self._closed:
            return events
        if isinstance(data, memoryview):
            data = data.tobytes()  # one copy is cheaper than two slices of a view per frame
        pos = 0
        partial = self._partial
        while partial is not None:
            # Take only what the pending step needs, so that the buffer never holds two frames.
            wanted = self._need - len(partial)
            partial += data[pos : pos + wanted]
            pos += wanted
            if len(partial) < self._need:
                return events
            if self._parse(partial, 0, events):
                self._partial = partial = None
        if self._closed:
            return events
        pos = self._parse(data, pos, events)
        if pos < len(data) and not self._closed:
            self._partial = bytearray(data[pos:])
        return events

    def _parse(self, data: bytes | bytearray, pos: int, events: list[Event]) -> int:
        """Append the events of the whole frames in `data[pos:]`; return where they end.

        Before an incomplete frame `_need` is set to the size its next step needs.
        """
        end = len(data)
        while end - pos >= 2:
            first = data[pos]
            second = data[pos + 1]
            room = self._max_message
            # Whole masked binary messages are nearly all there is: they skip the other checks.
            if first != _WHOLE_BINARY or second < _MASKED or self._message is not None:
                violation = self._check_header(first, second)
                if violation is not None:
                    return self._fail(violation, events, end)
                if first & _OPCODE >= _FIRST_CONTROL:
                    room = MAX_CONTROL_PAYLOAD
                elif self._message is not None:
                    room -= len(self._message)

            # A header is 2 bytes, 0, 2 or 8 bytes of length, and 4 bytes of mask.
            length = second & _LENGTH
            start = pos + 6
            if length == 126:
                if end - pos < 4:
                    self._need = 4
                    return pos
                start = pos + 8
                length = data[pos + 2] << 8 | data[pos + 3]
                if length < 126:
                    return self._fail(_NOT_SHORTEST, events, end)
            elif length == 127:
                if end - pos < 10:
                    self._need = 10
                    return pos
                start = pos + 14
                length = int.from_bytes(data[pos + 2 : pos + 10], "big")
                if length >> 63:
                    return self._fail(_TOP_BIT_SET, events, end)
                if length < 1 << 16:
                    return self._fail(_NOT_SHORTEST, events, end)
            if length > room:
                violation = Violation(
                    CloseCode.TOO_BIG, f"message is over {self._max_message} bytes"
                )
                return self._fail(violation, events, end)
            stop = start + length
            if stop > end:
                self._need = stop - pos
                return pos

            payload = apply_mask(data[start:stop], data[start - 4 : start])
            pos = stop
            if first == _WHOLE_BINARY:
                events.append(payload)
            elif first & _OPCODE >= _FIRST_CONTROL:
                self._receive_control(first & _OPCODE, payload, events)
                if self._closed:
                    return end
            else:
                self._receive_fragment(first & _FIN != 0, payload, events)
        self._need = 2
        return pos

    def _check_header(self, first: int, second: int) -> Violation | None:
        """Judge what the first two bytes of a frame tell, apart from its size."""
        opcode = first & _OPCODE
        if first & _RESERVED_BITS:
            return _protocol_error("reserved bits are set but no extension was negotiated")
        if opcode not in _OPCODES:
            return _protocol_error(f"opcode {opcode:#x} is reserved")
        if not second & _MASKED:
            return _protocol_error("frames from a client must be masked")
        if opcode >= _FIRST_CONTROL:
            if not first & _FIN:
                return _protocol_error("control frames must not be fragmented")
            if second & _LENGTH > MAX_CONTROL_PAYLOAD:
                return _protocol_error(f"control frame is over {MAX_CONTROL_PAYLOAD} bytes")
        elif opcode == _CONTINUATION:
            if self._message is None:
                return _protocol_error("continuation frame without a message to continue")
            if self._fragments == MAX_FRAGMENTS:
                return Violation(CloseCode.TOO_BIG, f"message is in over {MAX_FRAGMENTS} fragments")
        elif self._message is not None:
            return _protocol_error("new message before the end of a fragmented one")
        elif opcode == _TEXT:
            return Violation(CloseCode.UNSUPPORTED_DATA, "only binary messages are accepted")
        return None

    def _receive_fragment(self, final: bool, payload: bytes, events: list[Event]) -> None:
        if self._message is None:
            self._message = bytearray(payload)
            self._fragments = 1
            return
        self._message += payload
        self._fragments += 1
        if final:
            events.append(bytes(self._message))
            self._message = None

    def _receive_control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == _PING:
            events.append(Ping(payload))
        elif opcode == _PONG:
            events.append(Pong(payload))
        else:
            events.append(_parse_close(payload))
            self._close()

    def _fail(self, violation: Violation, events: list[Event], end: int) -> int:
        """End the stream with `violation`; the rest of the data counts as consumed."""
        events.append(violation)
        self._close()
        return end

    def _close(self) -> None:
        self._closed = True
        self._partial = self._message = None


def _protocol_error(reason: str) -> Violation:
    return Violation(CloseCode.PROTOCOL_ERROR, reason)


_NOT_SHORTEST: Final = _protocol_error("the length is not in its shortest form")
_TOP_BIT_SET: Final = _protocol_error("the highest bit of a 64-bit length must be 0")


def _is_close_code(code: int) -> bool:
    """Whether `code` may travel in a close frame: registered, or for libraries or private use."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def _parse_close(payload: bytes) -> CloseReceived | Violation:
    if not payload:
        return CloseReceived(None, "")
    if len(payload) == 1:
        return _protocol_error("close frame with one byte")
    code = int.from_bytes(payload[:2], "big")
    if not _is_close_code(code):
        return _protocol_error(f"close code {code} must not be sent")
    try:
        return CloseReceived(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Violation(CloseCode.INVALID_DATA, "close reason is not UTF-8")


_pack_short = Struct("!BB").pack
_pack_medium = Struct("!BBH").pack
_pack_long = Struct("!BBQ").pack


def binary_frame(payload: bytes) -> bytes:
    """Return a whole binary message."""
    size = len(payload)
    if size < 126:
        return _pack_short(_WHOLE_BINARY, size) + payload
    if size < 1 << 16:
        return _pack_medium(_WHOLE_BINARY, 126, size) + payload
    return _pack_long(_WHOLE_BINARY, 127, size) + payload


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"control payload of {len(payload)} bytes, over {MAX_CONTROL_PAYLOAD}")
    return _pack_short(_FIN | opcode, len(payload)) + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """Return a ping.

    Raises:
        ValueError: If `payload` is over 125 bytes.
    """
    return _control_frame(_PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload.

    Raises:
        ValueError: If `payload` is over 125 bytes.
    """
    return _control_frame(_PONG, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame; `reason` is cut to the 123 bytes of UTF-8 that fit.

    Args:
        code: The close code, or None for a frame without one.
        reason: Text for the client's log.

    Raises:
        ValueError: If `code` must not be sent, or is None although there is a reason.
    """
    if code is None:
        if reason:
            raise ValueError("a close reason needs a code")
        return _control_frame(_CLOSE, b"")
    if not _is_close_code(code):
        raise ValueError(f"close code {code} must not be sent")
    # "replace": a lone surrogate has no UTF-8 form, and a log text is not worth an error.
    text = reason.encode(errors="replace")[: MAX_CONTROL_PAYLOAD - 2]
    text = text.decode(errors="ignore").encode()
    return _control_frame(_CLOSE, code.to_bytes(2, "big") + text)
