"""Values in PostgreSQL's binary format, checked against an independent implementation."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq
from psycopg.adapt import Transformer

from chat4all_storage.postgres import binary

ARRAY_OF: Final = {
    binary.UUID: 2951,
    binary.TEXT: 1009,
    binary.BYTEA: 1001,
    binary.INT2: 1005,
    binary.INT4: 1007,
    binary.INT8: 1016,
}
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read(type_: int, data: bytes) -> list[Any]:
    loaded: list[Any] = Transformer().get_loader(ARRAY_OF[type_], pq.Format.BINARY).load(data)
    return loaded


@given(st.lists(st.uuids()))
def test_uuids_are_written_from_their_text(values: list[Any]) -> None:
    assert read(binary.UUID, binary.uuids([str(value) for value in values])) == values


@given(st.lists(st.none() | TEXT))
def test_texts_are_written_as_utf_8(values: list[str | None]) -> None:
    assert read(binary.TEXT, binary.texts(values)) == values


@given(st.lists(st.none() | st.binary(max_size=20)))
def test_byte_strings_are_written_as_they_are(values: list[bytes | None]) -> None:
    assert read(binary.BYTEA, binary.byteas(values)) == values


@pytest.mark.parametrize(
    ("type_", "bits"), [(binary.INT2, 16), (binary.INT4, 32), (binary.INT8, 64)]
)
@given(data=st.data())
def test_integers_have_the_width_of_their_type(type_: int, bits: int, data: st.DataObject) -> None:
    integers = st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    values = data.draw(st.lists(integers) | st.lists(st.none() | integers))
    assert read(type_, binary.integers(type_, values)) == values


@pytest.mark.parametrize("values", [[1 << 15], [None, 1 << 15], [-(1 << 15) - 1, 0]])
def test_an_integer_that_does_not_fit_is_refused(values: list[int | None]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        binary.integers(binary.INT2, values)


def test_single_integers_are_big_endian_and_refused_when_they_do_not_fit() -> None:
    assert (binary.int4(-2), binary.int8(3)) == (b"\xff\xff\xff\xfe", b"\0" * 7 + b"\x03")
    for encode, bits in ((binary.int4, 31), (binary.int8, 63)):
        with pytest.raises(ValueError, match="does not fit"):
            encode(1 << bits)


@pytest.mark.parametrize("value", ["", "0" * 31, "0" * 34, "g" * 32])
def test_a_uuid_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|hex"):
        binary.uuids([value])


def test_a_text_without_a_utf_8_form_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        binary.texts(["\ud800"])


@given(st.lists(st.binary(max_size=20)))
def test_the_elements_of_an_array_are_read_back(values: list[bytes]) -> None:
    assert binary.read_array(binary.byteas(values)) == values


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_an_integer_is_read_back(value: int) -> None:
    assert binary.read_integer(binary.int8(value)) == value


@given(st.uuids())
def test_a_uuid_is_read_as_its_canonical_text(value: Any) -> None:
    assert binary.read_uuid(value.bytes) == str(value)
