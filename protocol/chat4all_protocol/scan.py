"""Check the structure of MessagePack bytes before any object is made of them.

One pass, no allocation beyond the size of the input. What it lets through is one value, at most
`MAX_DEPTH` deep and `MAX_ITEMS` long, built of nil, booleans, integers that fit in 64 bits with
sign, finite floats, strings, arrays, and maps with distinct string keys. Binary and extension
types have no place in the protocol. Whether strings are UTF-8 shows when they are decoded.
"""

from __future__ import annotations

import sys
from math import isfinite
from struct import Struct
from typing import Annotated, Any, Final

import msgspec

MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 4096
"""Elements of all arrays plus keys and values of all maps."""

_F32 = Struct(">f").unpack_from
_F64 = Struct(">d").unpack_from

# First bytes 0xcc..0xd3: how many bytes of integer follow.
_INTEGER_WIDTH: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
# Strings, arrays and maps with an explicit length: how many bytes of length follow.
_STRING_LENGTH: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAY_LENGTH: Final = {0xDC: 2, 0xDD: 4}
_MAP_LENGTH: Final = {0xDE: 2, 0xDF: 4}


_scalar: Final[Any] = (
    None
    | bool
    | str
    | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    | Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
)
_flat: Final[Any] = _scalar | list[_scalar] | dict[str, _scalar]
_nested: Final[Any] = _scalar | list[_flat] | dict[str, _flat]
_plain: Final = msgspec.msgpack.Decoder(dict[str, _nested])
_encode: Final = msgspec.msgpack.Encoder().encode


class Malformed(ValueError):
    """The bytes are not MessagePack that the protocol admits; the message says why."""


def is_plain(data: bytes) -> bool:
    """Whether this is a map that `check` admits; it may admit others too.

    Every item takes a byte at least, so what is no longer than `MAX_ITEMS` can't hold more.
    """
    if len(data) > MAX_ITEMS:
        return False
    try:
        return _encode(_plain.decode(data)) == data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def check(data: bytes, max_items: int = MAX_ITEMS, max_depth: int = MAX_DEPTH) -> None:
    """Refuse `data` unless it is one admissible value and nothing else.

    Raises:
        Malformed: with the rule that was broken.
    """
    end = len(data)
    position = 0
    budget = max_items
    # The container being read: values still missing, and, in a map, the keys seen so far. In a
    # map `left` counts keys and values, so a key is due exactly when it is even.
    left = 1
    keys: set[bytes] | None = None
    outer: list[tuple[int, set[bytes] | None]] = []
    while True:
        if left == 0:
            if not outer:
                break
            left, keys = outer.pop()
            continue
        if position >= end:
            raise Malformed("truncated")
        byte = data[position]
        position += 1
        key_due = keys is not None and not left & 1
        left -= 1

        if 0xA0 <= byte <= 0xBF or byte in _STRING_LENGTH:
            if byte <= 0xBF:
                length = byte & 0x1F
            else:
                width = _STRING_LENGTH[byte]
                length = int.from_bytes(data[position : position + width], "big")
                position += width
            start = position
            position += length
            if position > end:
                raise Malformed("truncated string")
            if key_due:
                key = data[start:position]
                assert keys is not None
                if key in keys:
                    raise Malformed("duplicate key")
                keys.add(key)
            continue
        if key_due:
            raise Malformed("map key is not a string")
        if byte <= 0x7F or byte >= 0xE0 or byte in (0xC0, 0xC2, 0xC3):
            continue
        if byte in _INTEGER_WIDTH:
            position += _INTEGER_WIDTH[byte]
            if position > end:
                raise Malformed("truncated integer")
            if byte == 0xCF and data[position - 8] & 0x80:
                raise Malformed("integer does not fit in 64 bits with sign")
            continue
        if byte in (0xCA, 0xCB):
            start = position
            position += 4 if byte == 0xCA else 8
            if position > end:
                raise Malformed("truncated float")
            (number,) = (_F32 if byte == 0xCA else _F64)(data, start)
            if not isfinite(number):
                raise Malformed("float is not finite")
            continue

        if byte <= 0x8F:
            length, is_map = byte & 0x0F, True
        elif byte <= 0x9F:
            length, is_map = byte & 0x0F, False
        elif byte in _ARRAY_LENGTH or byte in _MAP_LENGTH:
            is_map = byte in _MAP_LENGTH
            width = _MAP_LENGTH[byte] if is_map else _ARRAY_LENGTH[byte]
            length = int.from_bytes(data[position : position + width], "big")
            position += width
            if position > end:
                raise Malformed("truncated length")
        elif byte in (0xC4, 0xC5, 0xC6):
            raise Malformed("binary values are not allowed")
        elif byte == 0xC1:
            raise Malformed("invalid first byte 0xc1")
        else:
            raise Malformed("extension types are not allowed")
        items = 2 * length if is_map else length
        budget -= items
        if budget < 0:
            raise Malformed(f"more than {max_items} items")
        if len(outer) >= max_depth:
            raise Malformed(f"nested deeper than {max_depth}")
        outer.append((left, keys))
        left, keys = items, set() if is_map else None
    if position != end:
        raise Malformed("bytes after the value")
