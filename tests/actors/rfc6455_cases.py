"""What a WebSocket server must make of client bytes, as data: no socket, no decoder.

Each case starts right after the handshake. Every message is a MessagePack map of the contract,
`{"t": "ping", "at": n}`, or is empty, so that a live server answers each one it was delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_MESSAGE: Final = 64 * 1024
"""The largest message, in bytes, that the cases assume."""

MAX_FRAGMENTS: Final = 1024
"""The most frames in one message that the cases assume."""

NO_CODE: Final = 1005
"""Stands for a close frame without a code (RFC 6455 section 7.1.5); never on the wire."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Case:
    """Client bytes and the outcome they must have.

    Attributes:
        name: Unique, says what the client does.
        rule: The section of RFC 6455, or the rule of the contract.
        data: The raw bytes from the client.
        messages: The messages delivered, in order.
        pongs: The payloads of the pong frames answered, in order.
        close: The code of the close frame answered (an echo where the client closes), `NO_CODE`
            for one without; None while the connection stays open.
    """

    name: str
    rule: str
    data: bytes
    messages: tuple[bytes, ...] = ()
    pongs: tuple[bytes, ...] = ()
    close: int | None = None


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """Build a client frame; `length` and `length_bytes` (0, 2 or 8) override what is true."""
    size = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 1 << 16 else 8
    short = {0: size, 2: 126, 8: 127}[length_bytes]
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short])
    head += size.to_bytes(length_bytes, "big") if length_bytes else b""
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def message(at: int, size: int | None = None) -> bytes:
    """Return `{"t": "ping", "at": at}` with a one-byte `at`, padded to `size` bytes."""
    entries = b"\xa1t\xa4ping\xa2at" + bytes([at])
    if size is None:
        return b"\x82" + entries
    head = b"\x83" + entries + b"\xa3pad\xdb"
    padding = size - len(head) - 4
    return head + padding.to_bytes(4, "big") + bytes(padding)


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


A, B = message(1), message(2)
FULL = message(3, MAX_MESSAGE)
BINARY_A = frame(BINARY, A)
START_A = frame(BINARY, A[:5], fin=False)
END_A = frame(CONTINUATION, A[5:])


def _reserved() -> list[Case]:
    bits = [
        Case(
            f"rsv{4 - bit.bit_length()} on a message", "5.2", frame(BINARY, A, rsv=bit), close=1002
        )
        for bit in (4, 2, 1)
    ]
    opcodes = [
        Case(f"opcode {opcode:#x}", "5.2", frame(opcode, A), close=1002)
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    ]
    return [
        *bits,
        Case("all reserved bits on a message", "5.2", frame(BINARY, A, rsv=7), close=1002),
        Case("rsv1 on a ping", "5.2", frame(PING, rsv=4), close=1002),
        Case("rsv1 on a close", "5.2", frame(CLOSE, rsv=4), close=1002),
        Case("rsv1 on a continuation", "5.2", START_A + frame(0, A[5:], rsv=4), close=1002),
        Case("rsv1 on a text frame", "5.2", frame(TEXT, b"hi", rsv=4), close=1002),
        *opcodes,
        Case("reserved opcode in a fragmented message", "5.2", START_A + frame(3), close=1002),
    ]


def _masking() -> list[Case]:
    return [
        Case("unmasked message", "5.1", frame(BINARY, A, mask=None), close=1002),
        Case("unmasked empty message", "5.1", frame(BINARY, mask=None), close=1002),
        Case("unmasked text", "5.1", frame(TEXT, b"hi", mask=None), close=1002),
        Case("unmasked ping", "5.1", frame(PING, mask=None), close=1002),
        Case("unmasked close", "5.1", frame(CLOSE, close_payload(1000), mask=None), close=1002),
        Case(
            "unmasked continuation", "5.1", START_A + frame(0, A[5:], mask=None), close=1002
        ),
        Case("mask of zeros", "5.3", frame(BINARY, A, mask=bytes(4)), (A,)),
        Case("mask of ones", "5.3", frame(BINARY, A, mask=b"\xff" * 4), (A,)),
        Case(
            "a new mask in each frame",
            "5.3",
            frame(BINARY, A, mask=b"abcd") + frame(BINARY, B, mask=b"\x01\x02\x03\x04"),
            (A, B),
        ),
    ]  # fmt: skip


def _control() -> list[Case]:
    full = bytes(range(125))
    return [
        Case("empty ping", "5.5.2", frame(PING), pongs=(b"",)),
        Case("ping with a payload", "5.5.2", frame(PING, b"hello"), pongs=(b"hello",)),
        Case("ping of 125 bytes", "5.5", frame(PING, full), pongs=(full,)),
        Case("ping of 126 bytes", "5.5", frame(PING, full + b"!"), close=1002),
        Case("ping of 64 KiB", "5.5", frame(PING, length=MAX_MESSAGE), close=1002),
        Case("ping with a 16-bit length", "5.5", frame(PING, b"p", length_bytes=2), close=1002),
        Case("fragmented ping", "5.5", frame(PING, fin=False), close=1002),
        Case("three pings in a row", "5.5.2", frame(PING, b"1") + frame(PING, b"2") + frame(PING),
             pongs=(b"1", b"2", b"")),
        Case("ping before and after a message", "5.5.2",
             frame(PING, b"1") + BINARY_A + frame(PING, b"2"), (A,), (b"1", b"2")),
        Case("the masked Hello pong of the RFC", "5.7",
             bytes.fromhex("8a8537fa213d7f9f4d5158")),
        Case("unasked pong", "5.5.3", frame(PONG, b"x") + BINARY_A, (A,)),
        Case("pong of 125 bytes", "5.5", frame(PONG, full)),
        Case("pong of 126 bytes", "5.5", frame(PONG, full + b"!"), close=1002),
        Case("fragmented pong", "5.5", frame(PONG, fin=False), close=1002),
        Case("fragmented close", "5.5", frame(CLOSE, fin=False), close=1002),
        Case("close of 126 bytes", "5.5", frame(CLOSE, close_payload(1000, full[1:])), close=1002),
    ]  # fmt: skip


def _fragments() -> list[Case]:
    empty = frame(CONTINUATION, fin=False)
    bytewise = b"".join(frame(CONTINUATION, A[i : i + 1], fin=False) for i in range(len(A)))
    return [
        Case("message in two fragments", "5.4", START_A + END_A, (A,)),
        Case("message in one-byte fragments", "5.4",
             frame(BINARY, fin=False) + bytewise + frame(CONTINUATION), (A,)),
        Case("empty first fragment", "5.4", frame(BINARY, fin=False) + frame(0, A), (A,)),
        Case("empty last fragment", "5.4", frame(BINARY, A, fin=False) + frame(0), (A,)),
        Case("empty middle fragments", "5.4", START_A + empty * 3 + END_A, (A,)),
        Case("empty fragments only", "5.4", frame(BINARY, fin=False) + empty + frame(0), (b"",)),
        Case("two fragmented messages", "5.4",
             START_A + END_A + frame(BINARY, B[:1], fin=False) + frame(0, B[1:]), (A, B)),
        Case("whole message after a fragmented one", "5.4", START_A + END_A + frame(BINARY, B),
             (A, B)),
        Case("ping between fragments", "5.4", START_A + frame(PING, b"p") + END_A, (A,), (b"p",)),
        Case("pings around every fragment", "5.4",
             frame(PING, b"1") + START_A + frame(PING, b"2") + empty + frame(PING, b"3") + END_A,
             (A,), (b"1", b"2", b"3")),
        Case("pong between fragments", "5.4", START_A + frame(PONG) + END_A, (A,)),
        Case("close between fragments", "5.4", START_A + frame(CLOSE, close_payload(1001)),
             close=1001),
        Case("unfinished fragmented message", "5.4", START_A),
        Case("continuation of nothing", "5.4", frame(CONTINUATION, A), close=1002),
        Case("open continuation of nothing", "5.4", empty, close=1002),
        Case("continuation after a whole message", "5.4", BINARY_A + END_A, (A,), close=1002),
        Case("continuation after the last fragment", "5.4", START_A + END_A + END_A, (A,),
             close=1002),
        Case("new message between fragments", "5.4", START_A + BINARY_A, close=1002),
        Case("new fragmented message between fragments", "5.4", START_A + START_A, close=1002),
        Case("text between fragments", "5.4", START_A + frame(TEXT, b"hi"), close=1002),
        Case("as many fragments as allowed", "contract: everything is bounded",
             START_A + empty * (MAX_FRAGMENTS - 2) + END_A, (A,)),
        Case("one fragment too many", "contract: everything is bounded",
             START_A + empty * (MAX_FRAGMENTS - 1) + END_A, close=1009),
        Case("ten thousand empty fragments", "contract: everything is bounded",
             frame(BINARY, fin=False) + empty * 10_000, close=1009),
    ]  # fmt: skip


def _text() -> list[Case]:
    rule = "contract: binary messages only"
    return [
        Case("text message", rule, frame(TEXT, b"hi"), close=1003),
        Case("empty text message", rule, frame(TEXT), close=1003),
        Case("text that is not UTF-8", rule, frame(TEXT, b"\xff"), close=1003),
        Case("first fragment of a text", rule, frame(TEXT, b"hi", fin=False), close=1003),
        Case("text after a message", rule, BINARY_A + frame(TEXT, b"hi"), (A,), close=1003),
        Case("the masked Hello text of the RFC", rule, bytes.fromhex("818537fa213d7f9f4d5158"),
             close=1003),
    ]  # fmt: skip


def _lengths() -> list[Case]:
    valid = [
        Case(f"message of {size} bytes", "5.2", frame(BINARY, payload), (payload,))
        for size in (125, 126, 127, 65535, MAX_MESSAGE)
        for payload in [message(4, size)]
    ]
    long_forms = [
        Case(
            f"length {size} in {width} bytes",
            "5.2",
            frame(BINARY, bytes(size), length_bytes=width),
            close=1002,
        )
        for size, width in ((0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8))
    ]
    top_bit = frame(BINARY, length=1 << 63, length_bytes=8)
    rule = "contract: a frame over the limit closes with 1009"
    half = MAX_MESSAGE // 2
    start = frame(BINARY, FULL[:half], fin=False)
    return [
        Case("empty message", "5.2", frame(BINARY), (b"",)),
        *valid,
        *long_forms,
        Case("64-bit length with the highest bit", "5.2", top_bit, close=1002),
        Case("64-bit length of all ones", "5.2",
             frame(BINARY, length=(1 << 64) - 1, length_bytes=8), close=1002),
        Case("length of 2**63 - 1", rule, frame(BINARY, length=(1 << 63) - 1), close=1009),
        Case("one byte over the limit", rule, frame(BINARY, FULL + b"!"), close=1009),
        Case("two bytes over the limit", rule, frame(BINARY, FULL + b"!!"), close=1009),
        Case("length over the limit, no mask or payload yet", rule,
             frame(BINARY, length=MAX_MESSAGE + 1)[:10], close=1009),
        Case("first fragment over the limit", rule,
             frame(BINARY, length=MAX_MESSAGE + 1, fin=False), close=1009),
        Case("fragments that add up to the limit", rule, start + frame(0, FULL[half:]), (FULL,)),
        Case("fragments one byte over the limit", rule,
             start + frame(0, length=half + 1), close=1009),
        Case("open fragments one byte over the limit", rule,
             start + frame(0, FULL[half:], fin=False) + frame(0, length=1, fin=False),
             close=1009),
        Case("ping between fragments at the limit", rule,
             frame(BINARY, FULL, fin=False) + frame(PING, bytes(125)) + frame(0),
             (FULL,), (bytes(125),)),
        Case("message before one over the limit", rule,
             BINARY_A + frame(BINARY, length=MAX_MESSAGE + 1), (A,), close=1009),
    ]  # fmt: skip


def _closing() -> list[Case]:
    valid = [
        Case(f"close with {code}", "7.4", frame(CLOSE, close_payload(code)), close=code)
        for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)
    ]
    invalid = [
        Case(f"close with {code}", "7.4", frame(CLOSE, close_payload(code)), close=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ]
    not_utf8 = [
        Case(f"close with {what}", "8.1", frame(CLOSE, close_payload(1000, reason)), close=1007)
        for what, reason in (
            ("a reason that is not UTF-8", b"bye \xff"),
            ("a reason that ends within a character", "bye \u00e9".encode()[:-1]),
            ("a surrogate in its reason", b"\xed\xa0\x80"),
            ("an overlong form in its reason", b"\xc0\xaf"),
            ("a code point over U+10FFFF in its reason", b"\xf4\x90\x80\x80"),
        )
    ]
    farewell = frame(CLOSE, close_payload(1000))
    return [
        Case("close without a code", "5.5.1", frame(CLOSE), close=NO_CODE),
        *valid,
        *invalid,
        *not_utf8,
        Case("close with one byte", "5.5.1", frame(CLOSE, b"\x03"), close=1002),
        Case("bad code and bad reason", "7.4", frame(CLOSE, close_payload(1005, b"\xff")),
             close=1002),
        Case("close with a reason", "5.5.1", frame(CLOSE, close_payload(1000, b"bye")),
             close=1000),
        Case("close with the longest reason", "5.5.1",
             frame(CLOSE, close_payload(4000, ("\u00e9" * 61 + "!").encode())), close=4000),
        Case("message before the close", "5.5.1", BINARY_A + farewell, (A,), close=1000),
        Case("ping before the close", "5.5.1", frame(PING, b"p") + farewell, (), (b"p",), 1000),
        Case("message after the close", "5.5.1", farewell + BINARY_A, close=1000),
        Case("ping after the close", "5.5.1", farewell + frame(PING), close=1000),
        Case("violation after the close", "5.5.1", farewell + frame(3), close=1000),
        Case("second close", "5.5.1", farewell + frame(CLOSE, close_payload(1001)), close=1000),
        Case("message after a violation", "7.1.7", frame(3) + BINARY_A, close=1002),
        Case("close after a violation", "7.1.7", frame(3) + farewell, close=1002),
        Case("messages and a ping before a violation", "7.1.7",
             BINARY_A + frame(PING, b"p") + frame(BINARY, B) + frame(3), (A, B), (b"p",), 1002),
    ]  # fmt: skip


def _streams() -> list[Case]:
    return [
        Case("nothing", "5.2", b""),
        Case("one byte of a header", "5.2", BINARY_A[:1]),
        Case("a header without its payload", "5.2", BINARY_A[:6]),
        Case("a message less its last byte", "5.2", BINARY_A[:-1]),
        Case("a message and the start of another", "5.2", BINARY_A + BINARY_A[:7], (A,)),
        Case("a hundred messages", "5.2", BINARY_A * 100, (A,) * 100),
        Case("an HTTP request in place of frames", "5.2", b"GET / HTTP/1.1\r\n\r\n", close=1002),
        Case("line ends in place of frames", "5.2", b"\r\n\r\n", close=1002),
        Case("zeros in place of frames", "5.2", bytes(16), close=1002),
        Case("ones in place of frames", "5.2", b"\xff" * 16, close=1002),
    ]


CASES: Final = (
    *_reserved(),
    *_masking(),
    *_control(),
    *_fragments(),
    *_text(),
    *_lengths(),
    *_closing(),
    *_streams(),
)
