from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import speedups

from chat4all_actors import rfc6455
from chat4all_actors.rfc6455 import (
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
)
from tests.actors.rfc6455_decoding import MODULES

# Unmasking


def test_unmasking_is_done_in_c_where_it_can_be_and_in_python_elsewhere() -> None:
    assert rfc6455.apply_mask is speedups.apply_mask
    fallback = MODULES["fallback"]
    assert fallback.apply_mask is fallback._apply_mask


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_in_python_equals_unmasking_in_c(data: bytes, mask: bytes) -> None:
    expected = speedups.apply_mask(data, mask)
    for kind in (bytes, bytearray):
        assert rfc6455._apply_mask(kind(data), kind(mask)) == expected


# Encoding


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8200"),
        (1, "8201"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_a_binary_frame_is_unmasked_and_has_the_shortest_length(size: int, header: str) -> None:
    assert binary_frame(b"x" * size) == bytes.fromhex(header) + b"x" * size


def test_control_frames_are_unmasked() -> None:
    assert ping_frame() == b"\x89\x00"
    assert ping_frame(b"Hello") == b"\x89\x05Hello"
    assert pong_frame(b"Hello") == b"\x8a\x05Hello"
    assert close_frame(None) == b"\x88\x00"
    assert close_frame(3001, "bye") == b"\x88\x05\x0b\xb9bye"


@pytest.mark.parametrize("build", [ping_frame, pong_frame])
def test_a_control_payload_over_125_bytes_is_an_error(build: Any) -> None:
    assert len(build(bytes(125))) == 127
    with pytest.raises(ValueError, match="control payload of 126 bytes"):
        build(bytes(126))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70_000])
def test_a_close_code_that_must_not_be_sent_is_an_error(code: int) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        close_frame(code)


def test_a_close_reason_without_a_code_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a code"):
        close_frame(None, "bye")


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("\u00e9" * 62, "\u00e9" * 61),
        ("x" * 121 + "\u20ac", "x" * 121),
        ("x" * 120 + "\U0001f600", "x" * 120),
        ("x" * 119 + "\U0001f600!", "x" * 119 + "\U0001f600"),
        ("\ud800", "?"),
    ],
)
def test_a_close_reason_is_cut_at_a_character(reason: str, kept: str) -> None:
    assert close_frame(1000, reason)[4:] == kept.encode()
