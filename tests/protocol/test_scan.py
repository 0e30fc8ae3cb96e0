from __future__ import annotations

import tracemalloc

import msgpack  # type: ignore[import-untyped]
import pytest

from chat4all_protocol.scan import MAX_DEPTH, MAX_ITEMS, Malformed, check

ADMITTED = {
    "nil": b"\xc0",
    "false": b"\xc2",
    "true": b"\xc3",
    "greatest small integer": b"\x7f",
    "least small integer": b"\xe0",
    "uint8": b"\xcc\xff",
    "uint16": b"\xcd\xff\xff",
    "uint32": b"\xce\xff\xff\xff\xff",
    "uint64 up to 2^63-1": b"\xcf\x7f" + b"\xff" * 7,
    "int8": b"\xd0\x80",
    "int16": b"\xd1\x80\x00",
    "int32": b"\xd2\x80\x00\x00\x00",
    "int64 down to -2^63": b"\xd3\x80" + bytes(7),
    "float32": b"\xca\x3f\x80\x00\x00",
    "float64": b"\xcb\x3f\xf0" + bytes(6),
    "greatest float64": b"\xcb\x7f\xef" + b"\xff" * 6,
    "minus zero": b"\xcb\x80" + bytes(7),
    "empty string": b"\xa0",
    "longest short string": b"\xbf" + b"a" * 31,
    "string with a length of 8 bits": b"\xd9\x01a",
    "string with a length of 16 bits": b"\xda\x00\x01a",
    "string with a length of 32 bits": b"\xdb\x00\x00\x00\x01a",
    "empty array": b"\x90",
    "longest short array": b"\x9f" + b"\xc0" * 15,
    "array with a length of 16 bits": b"\xdc\x00\x01\xc0",
    "array with a length of 32 bits": b"\xdd\x00\x00\x00\x01\xc0",
    "empty array with a length of 16 bits": b"\xdc\x00\x00",
    "empty map": b"\x80",
    "longest short map": b"\x8f" + b"".join(b"\xa1%c\xc0" % n for n in range(15)),
    "map with a length of 16 bits": b"\xde\x00\x01\xa1a\xc0",
    "map with a length of 32 bits": b"\xdf\x00\x00\x00\x01\xa1a\xc0",
    "map in a map as a value": b"\x82\xa1a\x81\xa1a\xc0\xa1b\xc0",
    "the same key in two maps": b"\x92\x81\xa1a\xc0\x81\xa1a\xc0",
    "a value equal to a key": b"\x82\xa1a\xa1b\xa1b\xa1a",
    "array after a map ended": b"\x92\x81\xa1a\x90\x91\x80",
}

REFUSED = {
    "truncated": [b"", b"\x91", b"\x92\xc0", b"\x81", b"\x81\xa1a", b"\x91\x91"],
    "truncated string": [b"\xa1", b"\xbf" + b"a" * 30, b"\xd9", b"\xd9\x01", b"\xdb\x00\x00"],
    "truncated integer": [b"\xcc", b"\xcf" + bytes(7), b"\xd3", b"\xcf\x80"],
    "truncated float": [b"\xca\x00\x00\x00", b"\xcb" + bytes(7)],
    "truncated length": [b"\xdc", b"\xdc\x00", b"\xdd\x00\x00\x00", b"\xde", b"\xdf\x00"],
    "bytes after the value": [b"\xc0\xc0", b"\x90\x00", b"\x81\xa1a\xc0\xa1"],
    "map key is not a string": [
        b"\x81\x01\xc0",
        b"\x81\xc0\xc0",
        b"\x81\x90\xc0",
        b"\x81\x80\xc0",
        b"\x81\xc4\x01a\xc0",
        b"\x82\xa1a\xc0\xc2\xc0",
        b"\x82\xa1a\x81\xa1b\xc0\x01\xc0",
    ],
    "duplicate key": [
        b"\x82\xa1a\xc0\xa1a\xc0",
        b"\x82\xa1a\xc0\xd9\x01a\xc0",
        b"\x82\xa1a\x81\xa1b\xc0\xa1a\xc0",
        b"\x91\x82\xa0\xc0\xdb\x00\x00\x00\x00\xc0",
    ],
    "integer does not fit in 64 bits with sign": [b"\xcf\x80" + bytes(7), b"\xcf" + b"\xff" * 8],
    "float is not finite": [
        b"\xcb\x7f\xf0" + bytes(6),
        b"\xcb\xff\xf0" + bytes(6),
        b"\xcb\x7f\xf8" + bytes(6),
        b"\xca\x7f\x80\x00\x00",
        b"\xca\x7f\xc0\x00\x00",
    ],
    "binary values are not allowed": [b"\xc4\x00", b"\xc5\x00\x00", b"\xc6" + bytes(4)],
    "invalid first byte 0xc1": [b"\xc1", b"\x91\xc1"],
    "extension types are not allowed": [
        *(bytes([first]) + bytes(20) for first in (0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9))),
        b"\xd6\xff\x00\x00\x00\x00",
    ],
    "more than 4096 items": [
        b"\xdc\x10\x01" + b"\xc0" * 4097,
        b"\xde\x08\x01",
        b"\x92\xdc\x08\x00" + b"\xc0" * 2048 + b"\xdc\x07\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ],
    "nested deeper than 16": [
        b"\x91" * 16 + b"\x90",
        b"\x81\xa1a" * 16 + b"\x80",
        b"\x91" * 65536,
    ],
}


@pytest.mark.parametrize("data", ADMITTED.values(), ids=ADMITTED)
def test_a_value_is_admitted_when_it_is_plain(data: bytes) -> None:
    check(data)
    # An independent implementation agrees that it is one whole value.
    msgpack.unpackb(data)


@pytest.mark.parametrize(
    ("rule", "data"), [(rule, data) for rule, several in REFUSED.items() for data in several]
)
def test_what_breaks_a_rule_is_refused_by_its_name(rule: str, data: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        check(data)
    assert str(refusal.value) == rule


def test_exactly_16_levels_are_admitted() -> None:
    check(b"\x91" * (MAX_DEPTH - 1) + b"\x90")
    check(b"\x81\xa1a" * (MAX_DEPTH - 1) + b"\x80")


def test_the_depth_may_be_chosen() -> None:
    check(b"\x91" * 17 + b"\x90", max_depth=18)
    with pytest.raises(Malformed, match="nested deeper than 18"):
        check(b"\x91" * 18 + b"\x90", max_depth=18)


def test_siblings_do_not_add_to_the_depth() -> None:
    check(b"\xdc\x00\x64" + b"\x90" * 100)


def test_exactly_4096_items_are_admitted() -> None:
    check(b"\xdc\x10\x00" + b"\xc0" * MAX_ITEMS)
    check(b"\x92\xdc\x08\x00" + b"\xc0" * 2048 + b"\xdc\x07\xfe" + b"\xc0" * 2046)


def test_keys_and_values_of_a_map_both_count() -> None:
    pairs = b"".join(b"\xa2" + n.to_bytes(2, "big") + b"\xc0" for n in range(2049))
    check(b"\xde\x08\x00" + pairs[: 2048 * 4])
    with pytest.raises(Malformed, match="more than 4096 items"):
        check(b"\xde\x08\x01" + pairs)


def test_the_number_of_items_may_be_chosen() -> None:
    check(b"\x93\xc0\xc0\xc0", 3)
    with pytest.raises(Malformed, match="more than 2 items"):
        check(b"\x93\xc0\xc0\xc0", 2)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\xff\xff" * 100,
        b"\x91\xdd\x7f\xff\xff\xff",
    ],
)
def test_a_length_that_is_only_claimed_costs_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            check(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
