from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.rfc6455 import FrameDecoder, binary_frame
from chat4all_bench.generator import header
from chat4all_bench.generator.frames import BINARY, frame, parse, upgrade_request

payloads = st.one_of(
    st.binary(max_size=200), st.integers(120, 70_000).map(lambda size: b"x" * size)
)


@given(payloads)
def test_a_server_reads_what_was_written(payload: bytes) -> None:
    assert list(FrameDecoder(1 << 20).receive_data(frame(payload, BINARY))) == [payload]


@given(st.lists(payloads, max_size=5), st.data())
def test_frames_are_found_wherever_the_bytes_are_cut(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(binary_frame, sent))
    cut = data.draw(st.integers(0, len(stream)))
    first, rest = parse(stream[:cut])
    second, left = parse(rest + stream[cut:])
    assert [payload for _, payload in first + second] == sent
    assert left == b""


@pytest.mark.parametrize("data", [b"\x02\x00", b"\x80\x00", b"\x82\x80\0\0\0\0"])
def test_fragments_and_masked_frames_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"fragmented|masked"):
        parse(data)


def test_a_handshake_offers_the_subprotocol_if_there_is_one() -> None:
    assert b"\r\nSec-WebSocket-Protocol: chat4all.v1\r\n" in upgrade_request(
        "h", "/", "chat4all.v1"
    )
    assert b"Protocol" not in upgrade_request("h", "/ws", None)


@given(
    st.integers(0, 9999), st.integers(1, 10**8 - 1), st.integers(0, 10**15 - 1), st.integers(0, 300)
)
def test_a_text_tells_who_wrote_which_message_and_when_it_was_due(
    speaker: int, number: int, due: int, size: int
) -> None:
    tag = header.tag_of(3, 1)
    text = header.write(tag, speaker, number, due, header.padding(size))
    assert header.read(text, tag) == (speaker, number, due)
    assert len(text) == max(size, header.SIZE)
    assert header.read(text, header.tag_of(3, 2)) is None
