"""Frames to bytes and back, one message at a time.

    CodecError
    ├── BadFrame        not a frame at all: no admissible MessagePack map with a string `t`
    ├── UnknownFrame    `t` names no frame of this side
    └── InvalidPayload  a field is missing, of the wrong type or out of range

Decoding first checks the structure against all limits (`scan`), then builds the typed frame; it
raises nothing but `CodecError`.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import msgspec

from .codes import ErrorCode
from .frames import AnyClientFrame, AnyServerFrame, Body
from .scan import MAX_DEPTH, MAX_ITEMS, Malformed, check, is_plain
from .validation import explain

T = TypeVar("T")

MAX_FRAME: Final = 64 * 1024
"""Default greatest size of a client's frame, in bytes."""
MAX_SERVER_FRAME: Final = 4 * 1024 * 1024
"""Greatest size of a server's frame, in bytes: a `ready` or a `page` holds many items."""
MAX_SERVER_ITEMS: Final = 512 * 1024
"""Room for a `page` of 100 messages that each hold as many items as a client's frame may."""
MAX_SERVER_DEPTH: Final = MAX_DEPTH + 2
"""A `page` wraps a message, as deep as a client's frame may be, in a map and an array."""


class CodecError(ValueError):
    """These bytes are not a frame that may be acted on."""

    code: ErrorCode = ErrorCode.BAD_FRAME

    def __init__(self, message: str, *, field: str | None = None, rid: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.rid = rid


class BadFrame(CodecError):
    """No admissible MessagePack map with a string `t`."""


class UnknownFrame(CodecError):
    """`t` names no frame of this side."""

    code = ErrorCode.UNKNOWN_FRAME


class InvalidPayload(CodecError):
    """A field is missing, of the wrong type or out of range."""

    code = ErrorCode.INVALID_PAYLOAD


class _Head(msgspec.Struct):
    """What can still be said of a frame that is not valid as a whole."""

    t: str
    rid: Any = None


_encoder = msgspec.msgpack.Encoder()
_client_frames: msgspec.msgpack.Decoder[AnyClientFrame] = msgspec.msgpack.Decoder(AnyClientFrame)
_server_frames: msgspec.msgpack.Decoder[AnyServerFrame] = msgspec.msgpack.Decoder(AnyServerFrame)
_heads = msgspec.msgpack.Decoder(_Head)
_bodies: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)
_metas = msgspec.msgpack.Decoder(dict[str, Any])

encode = _encoder.encode
"""One frame as MessagePack bytes. The frame is trusted: only decoding validates."""


def decode_client(data: bytes, *, max_size: int = MAX_FRAME) -> AnyClientFrame:
    """The frame that a client sent.

    Raises:
        CodecError: `data` is not a valid client frame of at most `max_size` bytes.
    """
    return _decode(_client_frames, data, max_size, MAX_ITEMS, MAX_DEPTH)


def decode_server(data: bytes, *, max_size: int = MAX_SERVER_FRAME) -> AnyServerFrame:
    """The frame that a server sent.

    Raises:
        CodecError: `data` is not a valid server frame of at most `max_size` bytes.
    """
    return _decode(_server_frames, data, max_size, MAX_SERVER_ITEMS, MAX_SERVER_DEPTH)


def _decode(
    decoder: msgspec.msgpack.Decoder[T], data: bytes, max_size: int, max_items: int, max_depth: int
) -> T:
    if len(data) > max_size:
        raise BadFrame(f"frame of {len(data)} bytes, {max_size} are allowed")
    try:
        if not is_plain(data):
            check(data, max_items, max_depth)
        return decoder.decode(data)
    except Malformed as error:
        raise BadFrame(str(error)) from None
    except msgspec.ValidationError as error:
        raise _explain(data, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(f"not valid MessagePack: {error}") from None


def _explain(data: bytes, said: str) -> CodecError:
    """Turn msgspec's sentence into the error a client can act on: which field, what is allowed."""
    try:
        head = _heads.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return BadFrame("not a map with a string `t`")
    rid = head.rid if type(head.rid) is int and head.rid >= 0 else None
    fault = explain(said, "frame")
    if fault.field == "t":
        return UnknownFrame(f"unknown frame {head.t[:32]!r}", rid=rid)
    return InvalidPayload(fault.message, field=fault.field, rid=rid)


# --- parts that are stored as bytes ---------------------------------------------------------------


def encode_body(body: Body) -> bytes:
    """A body as the bytes that are stored and later sent on as they are."""
    return _encoder.encode(body)


def decode_body(data: bytes) -> Body:
    """The body that `encode_body` stored."""
    return _bodies.decode(data)


def stored_body(data: bytes) -> Body:
    """Stored bytes in the place of a body: encoding the frame copies them unread."""
    return cast("Body", msgspec.Raw(data))


def encode_meta(meta: dict[str, Any]) -> bytes:
    """A message's `meta` as the bytes that are stored."""
    return _encoder.encode(meta)


def decode_meta(data: bytes) -> dict[str, Any]:
    """The `meta` that `encode_meta` stored."""
    return _metas.decode(data)
