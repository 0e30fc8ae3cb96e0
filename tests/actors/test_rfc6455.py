from __future__ import annotations

import sys
import tracemalloc
from typing import TYPE_CHECKING

import msgspec
import pytest

from chat4all_actors import rfc6455
from chat4all_actors.rfc6455 import (
    CloseReceived,
    FrameDecoder,
    Ping,
    Pong,
    Violation,
    close_frame,
)
from tests.actors.rfc6455_cases import (
    BINARY,
    CASES,
    CLOSE,
    CONTINUATION,
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    PING,
    PONG,
    TEXT,
    Case,
    frame,
)
from tests.actors.rfc6455_decoding import MODULES, chunks, decode, outcome

if TYPE_CHECKING:
    from types import ModuleType


# The list of cases


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_has_its_outcome_in_one_read_and_byte_by_byte(
    case: Case, module: ModuleType
) -> None:
    expected = (list(case.messages), list(case.pongs), case.close)
    whole = decode([case.data], module)
    assert outcome(whole) == expected
    assert decode(chunks(case.data, 1), module) == whole


def test_the_cases_assume_the_limits_of_the_module_and_have_unique_names() -> None:
    assert rfc6455.MAX_FRAGMENTS == MAX_FRAGMENTS
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_message_of_the_cases_is_a_frame_of_the_contract_or_empty() -> None:
    messages = {message for case in CASES for message in case.messages}
    decoded = [msgspec.msgpack.decode(message) for message in messages - {b""}]
    assert {fields["t"] for fields in decoded} == {"ping"}


# Events


def test_events_come_in_the_order_of_the_stream() -> None:
    data = (
        frame(PING, b"1")
        + frame(BINARY, b"ab", fin=False)
        + frame(PONG, b"2")
        + frame(CONTINUATION, b"c")
        + frame(BINARY, b"d")
        + frame(CLOSE, b"\x03\xe8bye")
    )
    expected = [Ping(b"1"), Pong(b"2"), b"abc", b"d", CloseReceived(1000, "bye")]
    assert decode([data]) == expected


def test_the_reason_of_a_violation_fits_a_close_frame() -> None:
    violations = [
        event
        for case in CASES
        for event in decode([case.data])
        if isinstance(event, Violation)
    ]  # fmt: skip
    assert violations
    for violation in violations:
        payload = close_frame(violation.code, violation.reason)[2:]
        assert payload == violation.code.to_bytes(2, "big") + violation.reason.encode()


@pytest.mark.parametrize("end", [frame(CLOSE), frame(TEXT)], ids=["close", "violation"])
def test_after_the_end_nothing_is_held_and_later_data_is_ignored(end: bytes) -> None:
    decoder = FrameDecoder(MAX_MESSAGE)
    assert decoder.receive_data(frame(BINARY, b"start", fin=False) + end[:1]) == []
    assert decoder.buffered == 6
    assert len(decoder.receive_data(end[1:])) == 1
    assert decoder.receive_data(frame(BINARY, b"late")) == []
    assert decoder.receive_data(frame(TEXT)) == []
    assert decoder.buffered == 0


def test_a_reused_read_buffer_does_not_change_what_was_received() -> None:
    data = frame(BINARY, b"first") + frame(BINARY, b"second")
    decoder = FrameDecoder(MAX_MESSAGE)
    buffer = bytearray(data[:-3])
    events = decoder.receive_data(memoryview(buffer))
    buffer[:] = b"\xee" * len(buffer)
    events += decoder.receive_data(memoryview(data)[-3:])
    assert events == [b"first", b"second"]
    assert all(type(event) is bytes for event in events)


def test_a_decoder_refuses_a_limit_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="max_message must be positive, not 0"):
        FrameDecoder(0)


@pytest.mark.parametrize("limit", [1, 5, 124, 125, 126, 127, 65534, 65536, 65537])
def test_the_limit_is_exact_for_whole_and_fragmented_messages(limit: int) -> None:
    for size, accepted in ((limit - 1, True), (limit, True), (limit + 1, False)):
        payload = bytes(size)
        whole = frame(BINARY, payload)
        halves = frame(BINARY, payload[: size // 2], fin=False) + frame(0, payload[size // 2 :])
        for data in (whole, halves):
            events = decode([data], max_message=limit)
            assert outcome(events) == (([payload], [], None) if accepted else ([], [], 1009))


def test_a_control_frame_is_not_judged_by_the_limit_of_messages() -> None:
    assert decode([frame(PING, bytes(125))], max_message=1) == [Ping(bytes(125))]


@pytest.mark.parametrize(
    ("limit", "announced", "size"),
    [
        (100, 101, 2),
        (300, 301, 4),
        (MAX_MESSAGE, MAX_MESSAGE + 1, 10),
        (MAX_MESSAGE, (1 << 63) - 1, 10),
    ],
)
def test_a_message_over_the_limit_is_refused_at_the_last_byte_of_its_length(
    limit: int, announced: int, size: int
) -> None:
    header = frame(BINARY, length=announced)[:size]
    decoder = FrameDecoder(limit)
    assert decoder.receive_data(header[:-1]) == []
    assert outcome(decoder.receive_data(header[-1:])) == ([], [], 1009)
    assert decoder.buffered == 0


# Memory


def test_a_decoder_between_messages_holds_nothing_but_itself() -> None:
    decoder = FrameDecoder(MAX_MESSAGE)
    fragments = frame(BINARY, bytes(700), fin=False) + frame(0, bytes(700))
    for piece in chunks(frame(BINARY, bytes(3000)) + fragments, 1000):
        decoder.receive_data(piece)
    assert decoder.buffered == 0
    assert sys.getsizeof(decoder) <= 100
    referents = [getattr(decoder, name) for name in FrameDecoder.__slots__]
    assert all(value is None or isinstance(value, int) for value in referents)


def test_a_decoder_never_holds_more_than_the_limit_and_a_control_frame() -> None:
    limit = 1000
    whole = frame(BINARY, bytes(limit))
    half = frame(BINARY, bytes(limit // 2), fin=False)
    rest = frame(PING, bytes(125)) + frame(CONTINUATION, bytes(limit - limit // 2))
    stream = (whole + half + rest) * 5
    for size in (1, 7, 100, 999, 1500):
        decoder = FrameDecoder(limit)
        held = []
        for piece in chunks(stream, size):
            decoder.receive_data(piece)
            held.append(decoder.buffered)
        assert max(held) <= limit + 131
        assert held[-1] == 0


def test_a_large_frame_in_small_pieces_is_not_copied_again_with_each_piece() -> None:
    data = frame(BINARY, bytes(MAX_MESSAGE))
    decoder = FrameDecoder(MAX_MESSAGE)
    allocated = 0
    tracemalloc.start()
    try:
        for piece in chunks(data[:-1], 1024):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            assert decoder.receive_data(piece) == []
            allocated += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # A copy with each piece would allocate 32 times the message.
    assert allocated < 3 * MAX_MESSAGE
    assert decoder.receive_data(data[-1:]) == [bytes(MAX_MESSAGE)]
