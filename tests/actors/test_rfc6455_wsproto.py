from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from chat4all_actors.rfc6455 import (
    CloseReceived,
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
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    frame,
)
from tests.actors.rfc6455_decoding import MODULES, chunks, decode, outcome

if TYPE_CHECKING:
    from collections.abc import Iterable


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
