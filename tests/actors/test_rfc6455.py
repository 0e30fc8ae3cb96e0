from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import speedups
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from chat4all_actors import rfc6455
from chat4all_actors.rfc6455 import (
    CloseReceived,
    FrameDecoder,
    Ping,
    Pong,
    Violation,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
)
from tests.actors.rfc6455_cases import (
    BINARY,
    CASES,
    CLOSE,
    CONTINUATION,
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    Case,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


def without_speedups() -> ModuleType:
    """Return a second copy of the module, imported where `websockets` has no C extension."""
    assert rfc6455.__file__ is not None
    spec = importlib.util.spec_from_file_location("rfc6455_fallback", rfc6455.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "websockets.speedups", None)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


MODULES = {"speedups": rfc6455, "fallback": without_speedups()}


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def decode(
    pieces: Iterable[bytes], module: ModuleType = rfc6455, max_message: int = MAX_MESSAGE
) -> list[Any]:
    decoder = module.FrameDecoder(max_message)
    return [event for piece in pieces for event in decoder.receive_data(piece)]


def outcome(events: list[Any]) -> tuple[list[bytes], list[bytes], int | None]:
    """Return the messages, the ping payloads and the close code that `events` call for."""
    close: int | None = None
    for event in events:
        assert close is None, "events after the end"
        match type(event).__name__:
            case "CloseReceived":
                close = NO_CODE if event.code is None else event.code
            case "Violation":
                close = event.code
    messages = [event for event in events if type(event) is bytes]
    pings = [event.payload for event in events if type(event).__name__ == "Ping"]
    return messages, pings, close


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


# Against wsproto, an independent implementation

payloads = st.binary(max_size=300)
control = st.tuples(st.sampled_from(["ping", "pong"]), st.binary(max_size=125))
fragmented_messages = st.lists(st.one_of(payloads, control), min_size=1, max_size=8).filter(
    lambda parts: isinstance(parts[-1], bytes)
)


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in at})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(
    st.lists(fragmented_messages, max_size=4),
    st.one_of(st.none(), st.tuples(st.sampled_from([None, 1000, 4000]), st.text(max_size=20))),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_frames_of_a_wsproto_client_are_understood_in_any_fragments_and_chunks(
    messages: list[list[Any]], close: tuple[int | None, str] | None, places: list[int]
) -> None:
    client = FrameProtocol(client=True, extensions=[])
    stream = bytearray()
    expected: list[Any] = []
    for parts in messages:
        collected = b""
        for index, part in enumerate(parts):
            if isinstance(part, bytes):
                collected += part
                stream += client.send_data(part, fin=index == len(parts) - 1)
            elif part[0] == "ping":
                stream += client.ping(part[1])
                expected.append(Ping(part[1]))
            else:
                stream += client.pong(part[1])
                expected.append(Pong(part[1]))
        expected.append(collected)
    if close is not None:
        code, reason = close[0], close[1] if close[0] else ""
        stream += client.close(code, reason)
        expected.append(CloseReceived(code, reason))
    assert decode(cut(bytes(stream), places)) == expected


def wsproto_events(client: bool, data: bytes) -> tuple[list[Any], int | None]:
    """Return what wsproto receives, in our events, and the code it fails with."""
    peer = FrameProtocol(client=client, extensions=[])
    peer.receive_bytes(data)
    events: list[Any] = []
    collected: bytes | str = b""
    try:
        for received in peer.received_frames():
            payload: Any = received.payload
            if received.opcode is Opcode.PING:
                events.append(Ping(bytes(payload)))
            elif received.opcode is Opcode.PONG:
                events.append(Pong(bytes(payload)))
            elif received.opcode is Opcode.CLOSE:
                code, reason = payload
                events.append(CloseReceived(None if code == NO_CODE else code, reason or ""))
            else:
                collected = collected + payload if collected else payload
                if received.message_finished:
                    events.append(collected if isinstance(collected, str) else bytes(collected))
                    collected = b""
    except ParseFailed as failure:
        return events, int(failure.code)
    return events, None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("message"), st.binary(max_size=200)),
            st.tuples(st.just("message"), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
            control,
        ),
        max_size=6,
    ),
    st.one_of(st.none(), st.sampled_from([None, 1000, 3001, 4999])),
    st.text(max_size=200),
)
def test_a_wsproto_client_understands_every_frame_we_build(
    sent: list[tuple[str, bytes]], code: int | None, reason: str
) -> None:
    stream = b""
    expected: list[Any] = []
    for kind, payload in sent:
        if kind == "message":
            stream += binary_frame(payload)
            expected.append(payload)
        elif kind == "ping":
            stream += ping_frame(payload)
            expected.append(Ping(payload))
        else:
            stream += pong_frame(payload)
            expected.append(Pong(payload))
    stream += close_frame(code, reason if code else "")
    kept = reason.encode()[:123].decode(errors="ignore") if code else ""
    expected.append(CloseReceived(code, kept))
    assert wsproto_events(True, stream) == (expected, None)


SMALL = 300
opcodes = st.sampled_from([CONTINUATION, BINARY, BINARY, BINARY, TEXT, 3, CLOSE, PING, PONG])
close_payloads = st.builds(
    lambda code, reason: code.to_bytes(2, "big") + reason,
    st.sampled_from([999, 1000, 1005, 1014, 1015, 2999, 3000, 4999, 5000]),
    st.one_of(st.text(max_size=10).map(str.encode), st.binary(max_size=10)),
)
odd_frames = st.builds(
    frame,
    opcodes,
    st.one_of(st.binary(max_size=20), st.integers(0, SMALL + 2).map(bytes), close_payloads),
    fin=st.sampled_from([True, True, False]),
    rsv=st.sampled_from([0] * 9 + [1, 2, 4]),
    mask=st.sampled_from([b"\x00" * 4, b"abcd", b"abcd", b"abcd", None]),
    length_bytes=st.sampled_from([None] * 5 + [8]),
)
good_frames = st.one_of(
    st.builds(frame, st.sampled_from([BINARY, PING, PONG]), st.binary(max_size=20)),
    st.builds(
        lambda a, b, c: frame(BINARY, a, fin=False) + frame(PING, b) + frame(CONTINUATION, c),
        st.binary(max_size=SMALL),
        st.binary(max_size=5),
        st.binary(max_size=SMALL),
    ),
)
edits = st.lists(
    st.tuples(st.integers(0, 2000), st.sampled_from(["flip", "drop", "add"]), st.integers(0, 255)),
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[int, str, int]]) -> bytes:
    result = bytearray(data)
    for place, change, value in changes:
        index = place % (len(result) + 1)
        if change == "add":
            result.insert(index, value)
        elif index < len(result):
            if change == "flip":
                result[index] ^= value
            else:
                del result[index]
    return bytes(result)


streams = st.one_of(
    st.builds(
        lambda frames, changes: edited(b"".join(frames), changes),
        st.lists(st.one_of(good_frames, good_frames, odd_frames), max_size=6),
        edits,
    ),
    st.binary(max_size=60),
)


@given(streams, st.lists(st.integers(0, 10_000), max_size=10))
def test_arbitrary_bytes_never_raise_and_mean_the_same_in_any_chunks(
    data: bytes, places: list[int]
) -> None:
    whole = decode([data], max_message=SMALL)
    outcome(whole)
    assert decode(cut(data, places), max_message=SMALL) == whole
    assert decode(chunks(data, 1), MODULES["fallback"], SMALL) == decode(
        [data], MODULES["fallback"], SMALL
    )


@given(streams)
def test_arbitrary_bytes_mean_to_us_what_they_mean_to_wsproto_but_for_stricter_rules(
    data: bytes,
) -> None:
    # Zeros finish or break any frame within the limit, so neither side is left waiting.
    data += bytes(SMALL + 20)
    ours = decode([data], max_message=SMALL)
    theirs, failure = wsproto_events(False, data)
    last = ours[-1] if ours else None
    if isinstance(last, Violation) and last.code in (1003, 1009):
        # We alone refuse text, and messages over a limit.
        assert ours[:-1] == theirs[: len(ours) - 1]
    elif isinstance(last, CloseReceived) and last.code == 1014:
        # Registered after wsproto's list of codes was made.
        assert (ours[:-1], failure) == (theirs, 1002)
    elif isinstance(last, Violation) and last.code == 1007 and failure == 1002:
        # The same code with a reason that is not UTF-8: each names the fault it sees.
        assert ours[:-1] == theirs
    else:
        violations = [last.code] if isinstance(last, Violation) else []
        assert ours[: len(ours) - len(violations)] == theirs
        assert violations == ([] if failure is None else [failure])
