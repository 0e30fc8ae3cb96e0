from __future__ import annotations

from typing import Any

import msgspec
import pytest

from chat4all_protocol import frames
from chat4all_protocol.codec import (
    MAX_FRAME,
    MAX_SERVER_FRAME,
    BadFrame,
    CodecError,
    InvalidPayload,
    UnknownFrame,
    decode_body,
    decode_client,
    decode_meta,
    decode_server,
    encode,
    encode_body,
    encode_meta,
    stored_body,
)
from chat4all_protocol.codes import ErrorCode

CONV = "0b6f5a0e-6c1d-5b8a-9f43-2d1c7a9e4b10"
ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
HI = frames.TextBody(text="hi")
SEND = {"t": "send", "rid": 1, "conv": CONV, "id": ID, "body": {"type": "text", "text": "hi"}}


def refusal(**fields: Any) -> CodecError:
    with pytest.raises(CodecError) as caught:
        decode_client(encode(fields))
    return caught.value


def test_every_refusal_is_a_codec_error_with_its_code() -> None:
    assert (BadFrame("x").code, UnknownFrame("x").code, InvalidPayload("x").code) == (
        ErrorCode.BAD_FRAME,
        ErrorCode.UNKNOWN_FRAME,
        ErrorCode.INVALID_PAYLOAD,
    )
    assert issubclass(BadFrame, CodecError)
    assert issubclass(UnknownFrame, CodecError)
    assert issubclass(InvalidPayload, CodecError)


def test_a_frame_comes_back_as_its_type() -> None:
    frame = frames.Send(rid=1, conv=CONV, id=ID, body=HI)
    assert decode_client(encode(frame)) == frame


def test_typing_means_another_frame_on_each_side() -> None:
    from_client = encode(frames.Typing(conv=CONV))
    from_server = encode(frames.Composing(conv=CONV, user="bob", kind="text", ttl=6000))
    assert isinstance(decode_client(from_client), frames.Typing)
    assert isinstance(decode_server(from_server), frames.Composing)


def test_unknown_keys_are_ignored() -> None:
    assert decode_client(encode({"t": "ping", "at": 5, "later": {"x": [1]}})) == frames.Ping(at=5)


def test_a_frame_of_the_greatest_size_is_decoded_and_one_byte_more_is_not() -> None:
    padding = "x" * (MAX_FRAME - len(encode({"t": "ping", "x": ""})) - 2)
    assert decode_client(encode({"t": "ping", "x": padding})) == frames.Ping()
    with pytest.raises(BadFrame, match="65537 bytes, 65536 are allowed"):
        decode_client(encode({"t": "ping", "x": padding + "x"}))


def test_the_greatest_size_may_be_chosen() -> None:
    data = encode(frames.Ping())
    assert decode_client(data, max_size=len(data)) == frames.Ping()
    with pytest.raises(BadFrame):
        decode_client(data, max_size=len(data) - 1)


def test_a_server_frame_may_be_larger_than_a_client_frame() -> None:
    items = [
        frames.Msg(conv=CONV, seq=seq, id=ID, from_="ana", ts=1, body=frames.TextBody("x" * 40_000))
        for seq in range(1, 101)
    ]
    data = encode(frames.Page(rid=1, conv=CONV, items=items, more=False))
    assert MAX_FRAME < len(data) < MAX_SERVER_FRAME
    page = decode_server(data)
    assert isinstance(page, frames.Page)
    assert page.items == items
    with pytest.raises(BadFrame):
        decode_server(bytes(MAX_SERVER_FRAME + 1))


def _deepest_send() -> bytes:
    """A `send` of 16 levels: its own map, `meta`, and 14 lists."""
    return encode({**SEND, "meta": {"a": msgspec.Raw(b"\x91" * 13 + b"\x90")}})


def _longest_send() -> bytes:
    """A `send` of 4,096 items: 12 of its own map, 4 of `body`, 2 of `meta`."""
    return encode({**SEND, "meta": {"a": [None] * 4078}})


@pytest.mark.parametrize("data", [_deepest_send(), _longest_send()], ids=["deepest", "longest"])
def test_a_page_of_messages_at_the_limits_of_a_client_reaches_the_reader(data: bytes) -> None:
    # Otherwise one member could send what makes the history unreadable for all.
    sent = decode_client(data)
    assert isinstance(sent, frames.Send)
    msg = frames.Msg(conv=CONV, seq=1, id=ID, from_="a", ts=1, body=sent.body, meta=sent.meta)
    page = frames.Page(rid=1, conv=CONV, items=[msg] * frames.FETCH_LIMIT, more=False)
    assert decode_server(encode(msg)) == msg
    assert decode_server(encode(page)) == page


def test_one_level_and_one_item_more_are_refused() -> None:
    with pytest.raises(BadFrame, match="nested deeper than 16"):
        decode_client(encode({**SEND, "meta": {"a": msgspec.Raw(b"\x91" * 14 + b"\x90")}}))
    with pytest.raises(BadFrame, match="more than 4096 items"):
        decode_client(encode({**SEND, "meta": {"a": [None] * 4079}}))


@pytest.mark.parametrize("data", [b"\x90", b"\xc0", b"\x80", b"\xa1t", b"\x81\xa1t\x01"])
def test_what_is_no_map_with_a_string_t_is_a_bad_frame(data: bytes) -> None:
    for decode in (decode_client, decode_server):
        with pytest.raises(BadFrame, match=r"^not a map with a string `t`$"):
            decode(data)


def test_what_is_no_value_at_all_is_a_bad_frame() -> None:
    for decode in (decode_client, decode_server):
        with pytest.raises(BadFrame, match=r"^truncated$"):
            decode(b"")


def test_text_that_is_not_utf_8_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="not valid MessagePack"):
        decode_client(
            encode({**SEND, "body": msgspec.Raw(b"\x82\xa4type\xa4text\xa4text\xa1\xff")})
        )


def test_an_unknown_frame_is_named_with_its_rid_and_in_bounds() -> None:
    error = refusal(t="x" * 1000, rid=7)
    assert isinstance(error, UnknownFrame)
    assert error.rid == 7
    assert error.message == f"unknown frame {'x' * 32!r}"


def test_a_frame_of_the_other_side_is_unknown() -> None:
    assert isinstance(refusal(t="sent", rid=1), UnknownFrame)
    with pytest.raises(UnknownFrame):
        decode_server(encode(frames.Send(rid=1, conv=CONV, id=ID, body=HI)))


def test_a_missing_field_is_named() -> None:
    error = refusal(t="info", rid=3)
    assert isinstance(error, InvalidPayload)
    assert (error.message, error.field, error.rid) == ("conv is required", "conv", 3)


def test_a_missing_field_of_a_part_is_named_by_its_path() -> None:
    error = refusal(**{**SEND, "body": {"type": "text"}})
    assert (error.message, error.field) == ("body.text is required", "body.text")


def test_an_item_at_fault_is_named_by_its_place() -> None:
    error = refusal(t="watch", users=["ana", "b:b"])
    assert error.field == "users[1]"
    assert error.message.startswith("users[1]: Expected a user name")


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"t": "info", "rid": 1, "conv": "x"}, "conv", "a UUID in canonical lower-case form"),
        ({"t": "connect", "token": "t", "device": " "}, "device", "visible ASCII characters"),
        ({**SEND, "channels": ["X"]}, "channels[0]", "a channel's name"),
        (
            {"t": "create", "rid": 1, "type": "group", "members": [], "title": "\0"},
            "title",
            "text without NUL characters",
        ),
        (
            {"t": "connect", "token": "t", "device": "d", "cursors": {"x": 1}},
            "cursors",
            "a UUID in canonical lower-case form",
        ),
    ],
)
def test_a_format_is_explained_in_words_and_not_as_a_pattern(
    fields: dict[str, Any], field: str, said: str
) -> None:
    error = refusal(**fields)
    assert error.field == field
    assert said in error.message
    assert "regex" not in error.message


def test_an_error_does_not_hand_back_a_value_of_any_length() -> None:
    error = refusal(t="create", rid=1, type="x" * 60_000, members=[])
    assert error.field == "type"
    assert len(error.message) < 300


def test_a_value_cannot_pose_as_another_field() -> None:
    error = refusal(t="create", rid=1, type="x' - at `$.t`", members=[])
    assert isinstance(error, InvalidPayload)
    assert error.field == "type"


def test_both_bounds_of_a_fetch_are_refused_with_the_rid() -> None:
    error = refusal(t="fetch", rid=9, conv=CONV, after=1, before=3)
    assert isinstance(error, InvalidPayload)
    assert error.rid == 9
    assert error.message == "frame: after and before exclude each other"


@pytest.mark.parametrize("rid", [-1, True, 1.0, "1", None, [1]])
def test_a_rid_that_is_not_valid_is_not_handed_back(rid: Any) -> None:
    error = refusal(t="info", rid=rid, conv=CONV)
    assert (error.field, error.rid) == ("rid", None)


def test_the_least_rid_is_handed_back() -> None:
    assert refusal(t="info", rid=0).rid == 0


def test_a_stored_body_is_sent_on_byte_for_byte() -> None:
    stored = encode_body(frames.FileBody(file_id=ID, text="é"))
    assert decode_body(stored) == frames.FileBody(file_id=ID, text="é")
    msg = frames.Msg(conv=CONV, seq=1, id=ID, from_="ana", ts=1, body=stored_body(stored))
    data = encode(msg)
    assert stored in data
    decoded = decode_server(data)
    assert isinstance(decoded, frames.Msg)
    assert decoded.body == frames.FileBody(file_id=ID, text="é")


def test_stored_meta_comes_back_equal() -> None:
    meta = {"a": [1, 2.5, None, True, {"b": "é"}], "": -(2**63)}
    assert decode_meta(encode_meta(meta)) == meta
