"""Values in PostgreSQL's binary format: arrays as parameters of a statement, and what it answers.

An array is its number of dimensions, whether it holds nulls, the type of its elements, the
length and first index of each dimension, and then each element as its size and its bytes; a size
of -1 is a null. Numbers are big-endian. (`array_send` in PostgreSQL's arrayfuncs.c)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BYTEA: Final = 17
INT8: Final = 20
INT2: Final = 21
INT4: Final = 23
TEXT: Final = 25
UUID: Final = 2950
"""Types, by their numbers in every PostgreSQL (src/include/catalog/pg_type.dat)."""

_NULL: Final = b"\xff\xff\xff\xff"
_UUID_BYTES: Final = 16
_UUID_SIZE: Final = b"\0\0\0\x10"
_WIDTHS: Final = {INT2: (2, "h"), INT4: (4, "i"), INT8: (8, "q")}
_HEADER_BYTES: Final = 20
"""Of an array that has elements; one that has none is shorter."""
_SIZE_BYTES: Final = 4
_size = struct.Struct(">i").pack
_header = struct.Struct(">iiIii").pack
_empty_header = struct.Struct(">iiI").pack
_int4 = struct.Struct(">i").pack
_int8 = struct.Struct(">q").pack


def int4(value: int) -> bytes:
    """An integer of 32 bits; raises `ValueError` when it does not fit."""
    return _packed(_int4, value)


def int8(value: int) -> bytes:
    """An integer of 64 bits; raises `ValueError` when it does not fit."""
    return _packed(_int8, value)


def uuids(values: Sequence[str]) -> bytes:
    """An array of UUIDs from their text; raises `ValueError` when one is none."""
    raw = [bytes.fromhex(value.replace("-", "")) for value in values]
    if any(len(each) != _UUID_BYTES for each in raw):
        raise ValueError("not a UUID")
    return _array(UUID, len(raw), b"".join([_UUID_SIZE + each for each in raw]))


def texts(values: Sequence[str | None]) -> bytes:
    """An array of texts; raises `ValueError` when one has no UTF-8 form."""
    if values.count(None) == len(values):
        return _array(TEXT, len(values), _NULL * len(values))
    encoded = [None if value is None else value.encode() for value in values]
    return _array(TEXT, len(values), _elements(encoded))


def byteas(values: Sequence[bytes | None]) -> bytes:
    """An array of byte strings."""
    return _array(BYTEA, len(values), _elements(values))


def integers(type_: int, values: Sequence[int | None]) -> bytes:
    """An array of `INT2`, `INT4` or `INT8`; raises `ValueError` when one does not fit."""
    count = len(values)
    if not count or values.count(None) == count:
        return _array(type_, count, _NULL * count)
    width, code = _WIDTHS[type_]
    if None not in values:
        # Sizes and values in turn, all at once.
        flat: list[int] = [width] * (2 * count)
        flat[1::2] = values  # type: ignore[assignment]  # none of them is None
        return _array(type_, count, _packed(struct.Struct(">" + f"i{code}" * count).pack, *flat))
    pack = struct.Struct(">" + code).pack
    return _array(
        type_,
        count,
        _elements([None if value is None else _packed(pack, value) for value in values]),
    )


def read_integer(data: bytes) -> int:
    """An integer of whatever width."""
    return int.from_bytes(data, "big", signed=True)


def read_uuid(data: bytes) -> str:
    """A UUID as its canonical text."""
    digits = data.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_array(data: bytes) -> list[bytes]:
    """The elements of an array of one dimension at most, without nulls."""
    elements: list[bytes] = []
    at = _HEADER_BYTES
    while at < len(data):
        start = at + _SIZE_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        elements.append(data[start:at])
    return elements


def _elements(values: Sequence[bytes | None]) -> bytes:
    if values.count(None) == len(values):
        return _NULL * len(values)
    return b"".join([_NULL if each is None else _size(len(each)) + each for each in values])


def _array(type_: int, count: int, elements: bytes) -> bytes:
    if not count:
        return _empty_header(0, 0, type_)
    return _header(1, 1, type_, count, 1) + elements


def _packed(pack: Callable[..., bytes], *values: int) -> bytes:
    try:
        return pack(*values)
    except struct.error as error:
        raise ValueError(f"an integer does not fit: {error}") from error
