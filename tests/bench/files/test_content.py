"""The bytes of files that are nowhere."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from chat4all_bench.files.content import PIECE, Content

SIZE = 2 * PIECE + 1234


def whole(content: Content) -> bytes:
    return b"".join(content.pieces(0, content.size))


def test_a_file_is_as_long_as_was_asked_and_hashed_as_a_whole() -> None:
    content = Content(7, SIZE)
    assert len(whole(content)) == SIZE
    assert content.digest() == hashlib.sha256(whole(content)).digest()


@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_any_part_is_the_same_as_in_the_whole(start: int, size: int) -> None:
    content = Content(7, SIZE)
    assert b"".join(content.pieces(start, size)) == whole(content)[start : start + size]


def test_no_piece_is_like_another_one_of_this_file_or_of_another() -> None:
    pieces = {
        b"".join(Content(seed, SIZE).pieces(number * PIECE, PIECE))
        for seed in (1, 2)
        for number in (0, 1)
    }
    assert len(pieces) == 4


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert Content(3, SIZE).digest() == Content(3, SIZE).digest()
