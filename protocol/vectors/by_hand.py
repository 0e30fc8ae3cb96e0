"""Bytes that no encoder of ours writes: those that are read nevertheless, and those refused."""

from __future__ import annotations

from typing import Any

import msgspec

from chat4all_protocol import frames as f
from chat4all_protocol.codec import encode

CONV = "0b6f5a0e-6c1d-5b8a-9f43-2d1c7a9e4b10"
ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
OTHER = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


def _map(*pairs: bytes) -> bytes:
    """A map of fewer than 16 pairs, each given as the bytes of its key and value."""
    return bytes([0x80 | len(pairs)]) + b"".join(pairs)


def _text(value: str) -> bytes:
    return msgspec.msgpack.encode(value)


def _send(**changed: Any) -> bytes:
    send: dict[str, Any] = {"t": "send", "rid": 1, "conv": CONV, "id": ID}
    send["body"] = {"type": "text", "text": "hi"}
    send |= changed
    return msgspec.msgpack.encode({key: value for key, value in send.items() if value is not ...})


def _frame(**fields: Any) -> bytes:
    return msgspec.msgpack.encode(fields)


def _react(**changed: Any) -> bytes:
    react = {"t": "react", "rid": 1, "conv": CONV, "id": ID, "target": 1, "emoji": "x", "on": True}
    return msgspec.msgpack.encode(react | changed)


def _connect(**changed: Any) -> bytes:
    connect = {"t": "connect", "token": "t", "device": "d"}
    return msgspec.msgpack.encode(connect | changed)


def _create(**changed: Any) -> bytes:
    create = {"t": "create", "rid": 1, "type": "group", "members": []}
    return msgspec.msgpack.encode(create | changed)


def _deep(levels: int) -> bytes:
    """A ping whose unknown key `x` brings the frame to `levels` levels of containers."""
    return _map(_PING, _text("x") + b"\x91" * (levels - 2) + b"\x90")


def _deep_list(levels: int) -> dict[str, Any]:
    return {"a": msgspec.Raw(b"\x91" * (levels - 1) + b"\x90")}


_DEEP_MSG = f.Msg(
    conv=CONV,
    seq=1,
    id=ID,
    from_="ana",
    ts=1_764_000_000_000,
    body=f.TextBody("hi"),
    meta=_deep_list(14),
)
_PING = _text("t") + _text("ping")

# Each: whether a client sent it, and its bytes.
TOLERATED: dict[str, tuple[bool, bytes]] = {
    "unknown keys": (True, _map(_PING, _text("x") + b"\x01", _text("") + b"\xc0")),
    "t last": (True, _map(_text("at") + b"\x07", _PING)),
    "optional field as nil": (True, _map(_PING, _text("at") + b"\xc0")),
    "map with a length of 16 bits": (True, b"\xde\x00\x01" + _PING),
    "map with a length of 32 bits": (True, b"\xdf\x00\x00\x00\x01" + _PING),
    "long lengths of strings": (True, _map(b"\xd9\x01t" + b"\xdb\x00\x00\x00\x04ping")),
    "integer of 8 bytes, unsigned": (True, _map(_PING, _text("at") + b"\xcf" + bytes(7) + b"\x05")),
    "integer of 8 bytes, signed": (True, _map(_PING, _text("at") + b"\xd3" + bytes(7) + b"\x05")),
    "default sent": (True, _frame(t="typing", conv=CONV, kind="text")),
    "float of 32 bits in meta": (True, _send(meta={"f": msgspec.Raw(b"\xca\x3f\x00\x00\x00")})),
    "16 levels": (True, _deep(16)),
    "4,096 items": (True, _map(_PING, _text("x") + b"\xdc\x0f\xfc" + b"\xc0" * 4092)),
    "server frame with unknown keys": (False, _frame(t="ok", rid=1, why={"a": []})),
    "page with a message as deep as a client may send": (
        False,
        encode(f.Page(rid=1, conv=CONV, items=[_DEEP_MSG], more=False)),
    ),
}

REFUSED: dict[str, bytes] = {
    # BAD_FRAME: not MessagePack
    "nothing": b"",
    "truncated map": b"\x81",
    "truncated string": b"\x81\xa1t\xa4pin",
    "truncated string length": b"\x81\xa1t\xda\x00",
    "truncated integer": b"\x82" + _PING + _text("at") + b"\xcd\x01",
    "truncated float": b"\x82" + _PING + _text("x") + b"\xcb\x00",
    "truncated array length": b"\x82" + _PING + _text("x") + b"\xdc\x00",
    "bytes after the frame": _map(_PING) + b"\xc0",
    "byte 0xc1": b"\xc1",
    "text that is not UTF-8": _map(_text("t") + b"\xa4pin\xff"),
    "text with a surrogate": _map(
        _text("t") + _text("refresh"), _text("rid") + b"\x01", _text("token") + b"\xa3\xed\xa0\x80"
    ),
    # BAD_FRAME: MessagePack that the protocol does not use
    "binary value": _map(_PING, _text("x") + b"\xc4\x01a"),
    "extension value": _map(_PING, _text("x") + b"\xd4\x01a"),
    "timestamp": _map(_PING, _text("at") + b"\xd6\xff\x00\x00\x00\x01"),
    "integer key": _map(_PING, b"\x01\x01"),
    "nil key": _map(_PING, b"\xc0\x01"),
    "duplicate key": _map(_PING, _text("at") + b"\x01", _text("at") + b"\x02"),
    "duplicate key written in two ways": _map(_PING, b"\xa1x\x01", b"\xd9\x01x\x02"),
    "duplicate key in an unknown map": _map(
        _PING, _text("x") + _map(_text("a") + b"\x01", _text("a") + b"\x01")
    ),
    "not a number": _map(_PING, _text("x") + b"\xcb\x7f\xf8" + bytes(6)),
    "infinity of 32 bits": _map(_PING, _text("x") + b"\xca\x7f\x80" + bytes(2)),
    "integer of 2^63": _map(_PING, _text("at") + b"\xcf\x80" + bytes(7)),
    # BAD_FRAME: over a limit
    "17 levels": _deep(17),
    "4,097 items": _map(_PING, _text("x") + b"\xdc\x0f\xfd" + b"\xc0" * 4093),
    "array that claims 2^32-1 items": b"\xdd\xff\xff\xff\xff",
    "map that claims 2^32-1 pairs": b"\xdf\xff\xff\xff\xff",
    "string that claims 2^32-1 bytes": b"\xdb\xff\xff\xff\xff",
    # BAD_FRAME: no frame
    "array": b"\x90",
    "nil": b"\xc0",
    "map without t": _frame(rid=1),
    "t that is not a string": _frame(t=1, rid=1),
    # UNKNOWN_FRAME
    "unknown t": _frame(t="nope"),
    "unknown t with rid": _frame(t="nope", rid=7),
    "frame of the other side": _frame(t="sent", rid=7),
    "t in capitals": _frame(t="Ping"),
    # INVALID_PAYLOAD
    "field missing": _send(conv=...),
    "field nil": _send(conv=None),
    "field of the wrong type": _send(conv=1),
    "rid missing": _send(rid=...),
    "rid below 0": _send(rid=-1),
    "rid as float": _send(rid=1.0),
    "rid as boolean": _send(rid=True),
    "id in capitals": _send(id=ID.upper()),
    "id without hyphens": _send(id=ID.replace("-", "")),
    "body that is no map": _send(body="hi"),
    "body without type": _send(body={"text": "hi"}),
    "body of an unknown type": _send(body={"type": "poll"}),
    "body that clients may not send": _send(body={"type": "member", "user": "bob"}),
    "empty text": _send(body={"type": "text", "text": ""}),
    "text body without text": _send(body={"type": "text"}),
    "file with a size that is no number": _send(
        body={"type": "file", "file_id": OTHER, "size": "1"}
    ),
    "file frame without file": _frame(t="file", rid=1),
    "file that is no id": _frame(t="file", rid=1, file="../etc/passwd"),
    "file without file_id": _send(body={"type": "file", "text": "hi"}),
    "reply_to 0": _send(reply_to=0),
    "channel that is no name": _send(channels=["Telegram"]),
    "17 channels": _send(channels=["internal"] * 17),
    "meta that is no map": _send(meta=[]),
    "target 0": _frame(t="delete", rid=1, conv=CONV, id=ID, target=0),
    "empty emoji": _react(emoji=""),
    "emoji of 33 characters": _react(emoji="x" * 33),
    "on that is no boolean": _react(on=1),
    "limit 0": _frame(t="fetch", rid=1, conv=CONV, limit=0),
    "limit 101": _frame(t="fetch", rid=1, conv=CONV, limit=101),
    "after and before": _frame(t="fetch", rid=1, conv=CONV, after=1, before=9),
    "before 0": _frame(t="fetch", rid=1, conv=CONV, before=0),
    "seq below 0": _frame(t="read", conv=CONV, seq=-1),
    "typing of an unknown kind": _frame(t="typing", conv=CONV, kind="dance"),
    "mode that is no boolean": _frame(t="mode", rid=1, invisible=1),
    "conversation of an unknown type": _create(type="channel"),
    "user name with a colon": _frame(t="watch", users=["telegram:1"]),
    "member of no channel": _create(members=[":1"]),
    "address without an identity": _create(members=["telegram:"]),
    "address with a line break": _create(members=["telegram:1\n"]),
    "user name of 65 characters": _frame(t="watch", users=["ok", "z" * 65]),
    "user name that ends in a dot": _frame(t="watch", users=["ana."]),
    "user name before a line break": _frame(t="watch", users=["ana\n"]),
    "1,001 users": _frame(t="watch", users=["a"] * 1001),
    "empty title": _create(title=""),
    "title of 201 characters": _create(title="x" * 201),
    "title with NUL": _create(title="a\0b"),
    "empty token": _frame(t="refresh", rid=1, token=""),
    "token of 8,193 characters": _frame(t="refresh", rid=1, token="t" * 8193),
    "device with a blank": _connect(device="my phone"),
    "device of 129 characters": _connect(device="d" * 129),
    "cursor of no conversation": _connect(cursors={"x": 1}),
    "cursor below 0": _connect(cursors={CONV: -1}),
    "1,001 cursors": _connect(cursors={f"{n:08x}{CONV[8:]}": 0 for n in range(1001)}),
    "since as a date": _connect(since="2026-01-01"),
    "at below 0": _frame(t="ping", at=-1),
}
