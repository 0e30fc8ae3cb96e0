"""The codec against frames of every type and bytes of any kind."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any, get_args

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from chat4all_protocol import frames as f
from chat4all_protocol.codec import CodecError, decode_client, decode_server, encode
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.scan import MAX_DEPTH, MAX_ITEMS, Malformed, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn, SearchStrategy

    Frame = f.AnyClientFrame | f.AnyServerFrame
    Decode = Callable[[bytes], Frame]

# The same examples in each run, and no limit of time to any of them.
few = settings(max_examples=40, derandomize=True, deadline=None)
many = settings(max_examples=400, derandomize=True, deadline=None)

CLIENT: tuple[type[f.AnyClientFrame], ...] = get_args(f.AnyClientFrame)
SERVER: tuple[type[f.AnyServerFrame], ...] = get_args(f.AnyServerFrame)


# --- frames of every type -------------------------------------------------------------------------

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def values(of: inspect.Type) -> SearchStrategy[Any]:
    """Values of a type as msgspec describes it, within its constraints."""
    if isinstance(of, inspect.Metadata):
        return values(of.type)
    if isinstance(of, inspect.StructType):
        return structs(of)
    if isinstance(of, inspect.UnionType):
        return st.one_of([values(option) for option in of.types])
    if isinstance(of, inspect.LiteralType):
        return st.sampled_from(of.values)
    if isinstance(of, inspect.ListType):
        return st.lists(values(of.item_type), max_size=3)
    if isinstance(of, inspect.DictType):
        return st.dictionaries(values(of.key_type), values(of.value_type), max_size=3)
    if isinstance(of, inspect.IntType):
        least = -(2**63) if of.ge is None else of.ge
        greatest = 2**63 - 1 if of.le is None else of.le
        return st.integers(least, greatest)
    if isinstance(of, inspect.StrType):
        if of.pattern is not None and "\\x00" not in of.pattern:
            return st.from_regex(of.pattern)
        alphabet = st.characters(codec="utf-8", exclude_characters="\0" if of.pattern else "")
        return st.text(alphabet, min_size=of.min_length or 0, max_size=min(of.max_length or 40, 40))
    plain: dict[type, SearchStrategy[Any]] = {
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
        inspect.AnyType: ANYTHING,
    }
    return plain[type(of)]


def structs(of: inspect.StructType) -> SearchStrategy[Any]:
    fields = {field.name: values(field.type) for field in of.fields}
    required = {field.name for field in of.fields if field.required}

    def build(chosen: dict[str, Any]) -> Any:
        if of.cls is f.Fetch and chosen.get("after") is not None:
            chosen = chosen | {"before": None}
        return of.cls(**chosen)

    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    ).map(build)


def frames_of(kinds: tuple[type[Any], ...]) -> SearchStrategy[Any]:
    return st.one_of([values(inspect.type_info(kind)) for kind in kinds])


@pytest.mark.parametrize("kind", CLIENT, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_every_client_frame_comes_back_equal(kind: type[f.AnyClientFrame], data: Any) -> None:
    comes_back_equal(data.draw(values(inspect.type_info(kind))), decode_client)


@pytest.mark.parametrize("kind", SERVER, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_every_server_frame_comes_back_equal(kind: type[f.AnyServerFrame], data: Any) -> None:
    comes_back_equal(data.draw(values(inspect.type_info(kind))), decode_server)


def comes_back_equal(frame: Frame, decode: Decode) -> None:
    data = encode(frame)
    assert decode(data) == frame
    # An independent MessagePack reads our bytes, and we read its bytes.
    plain = msgspec.to_builtins(frame)
    assert msgpack.unpackb(data, strict_map_key=True, raw=False) == plain
    assert decode(msgpack.packb(plain)) == frame


# --- bytes of any kind ----------------------------------------------------------------------------

ENCODED = frames_of((*CLIENT, *SERVER)).map(encode)

# Beginnings of every type of value, many of them with lengths that are not kept.
TOKENS = [
    *(bytes([first]) for first in range(256)),
    *(b"\x81\xa1t" + encode(kind.__struct_config__.tag) for kind in (*CLIENT, *SERVER)),
    *(encode(field) for field in ("t", "rid", "conv", "id", "body", "type", "text", "meta", "at")),
    b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xde\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xda\x00\x03abc",
    b"\xcb\x7f\xf8" + bytes(6),
    b"\xcf" + b"\xff" * 8,
    b"\xc7\x00\x01",
    b"\x91" * 17,
]
ASSEMBLED = st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join)


@st.composite
def mutated(draw: DrawFn) -> bytes:
    """Bytes of a valid frame after a few accidents."""
    data = bytearray(draw(ENCODED))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        accident = draw(st.sampled_from(["flip", "cut", "insert", "overwrite", "splice", "remove"]))
        if accident == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif accident == "cut":
            del data[at:]
        elif accident == "insert":
            data[at:at] = draw(st.sampled_from(TOKENS))
        elif accident == "overwrite":
            token = draw(st.sampled_from(TOKENS))
            data[at : at + len(token)] = token
        elif accident == "splice":
            other = draw(ENCODED)
            data[at:] = other[draw(st.integers(0, len(other))) :]
        else:
            del data[at : at + draw(st.integers(1, 8))]
    return bytes(data)


ANY_BYTES = st.binary(max_size=64) | ASSEMBLED | mutated()


@many
@given(ANY_BYTES)
def test_bytes_are_a_frame_or_a_codec_error_and_a_frame_comes_back_equal(data: bytes) -> None:
    decoders: tuple[Decode, ...] = (decode_client, decode_server)
    for decode in decoders:
        error = None
        try:
            frame = decode(data)
        except CodecError as caught:
            error = caught
        if error is None:
            assert decode(encode(frame)) == frame
        else:
            assert error.code in ErrorCode
            assert 0 < len(error.message) < 400
            assert error.rid is None or 0 <= error.rid < 2**63


@many
@given(ANY_BYTES)
def test_an_independent_reader_takes_what_the_check_admits(data: bytes) -> None:
    try:
        check(data)
    except Malformed:
        return
    try:
        value = msgpack.unpackb(data, strict_map_key=True, raw=False, object_pairs_hook=Pairs)
    except UnicodeDecodeError:
        return  # The one difference: whether strings are UTF-8 shows when they are decoded.
    items, depth = measure(value)
    assert items <= MAX_ITEMS
    assert depth <= MAX_DEPTH


class Pairs(list[tuple[str, Any]]):
    """A map as it was written."""


def measure(value: Any) -> tuple[int, int]:
    """Elements, keys and values in all containers, and their greatest nesting."""
    if isinstance(value, Pairs):
        assert len({key for key, _ in value}) == len(value)
        inner = [each for _, each in value]
    elif isinstance(value, list):
        inner = value
    else:
        return 0, 0
    measured = [measure(each) for each in inner]
    own = 2 * len(inner) if isinstance(value, Pairs) else len(inner)
    return own + sum(items for items, _ in measured), 1 + max((d for _, d in measured), default=0)


@many
@given(ANYTHING)
def test_the_check_admits_every_plain_value_of_an_independent_writer(value: Any) -> None:
    check(msgpack.packb(value))


@many
@given(st.data())
def test_a_part_of_a_value_is_never_admitted(data: Any) -> None:
    packed = msgpack.packb(data.draw(ANYTHING))
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(Malformed):
        check(packed[:cut])
    with pytest.raises(Malformed):
        check(packed + packed[:1])


@few
@given(st.lists(st.sampled_from([token for token in TOKENS if len(token) > 2]), max_size=500))
def test_decoding_costs_memory_by_the_bytes_that_came_and_not_by_what_they_claim(
    tokens: list[bytes],
) -> None:
    data = b"\x82\xa1t\xa4ping\xa1x" + b"".join(tokens)
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode_client(data + b"\xc1")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000 + 100 * len(data)
