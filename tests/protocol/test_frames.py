from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from chat4all_protocol import frames
from chat4all_protocol.codec import InvalidPayload, decode_client, encode

CLIENT: tuple[type[msgspec.Struct], ...] = get_args(frames.AnyClientFrame)
SERVER: tuple[type[msgspec.Struct], ...] = get_args(frames.AnyServerFrame)
CONV = "0b6f5a0e-6c1d-5b8a-9f43-2d1c7a9e4b10"
ID = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


def _subclasses(base: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    return set(base.__subclasses__())


def _on_the_wire(frame: msgspec.Struct) -> dict[str, Any]:
    decoded = msgspec.msgpack.decode(encode(frame))
    assert isinstance(decoded, dict)
    return decoded


def test_the_unions_name_every_frame() -> None:
    assert set(CLIENT) == _subclasses(frames.ClientFrame)
    assert set(SERVER) == _subclasses(frames.ServerFrame)


@pytest.mark.parametrize("frame_kinds", [CLIENT, SERVER], ids=["client", "server"])
def test_each_name_on_the_wire_stands_for_one_frame(
    frame_kinds: tuple[type[msgspec.Struct], ...],
) -> None:
    tags = [kind.__struct_config__.tag for kind in frame_kinds]
    assert len(set(tags)) == len(tags)
    assert all(isinstance(tag, str) and tag.islower() for tag in tags)


@pytest.mark.parametrize("kind", [*CLIENT, *SERVER], ids=lambda kind: kind.__name__)
def test_a_frame_is_frozen_named_by_t_and_leaves_defaults_out(kind: type[msgspec.Struct]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.tag_field == "t"
    assert config.omit_defaults
    assert not config.forbid_unknown_fields


def test_the_sender_of_a_message_is_called_from_on_the_wire() -> None:
    msg = frames.Msg(conv=CONV, seq=1, id=ID, from_="ana", ts=1, body=None)
    assert _on_the_wire(msg)["from"] == "ana"


def test_a_plain_message_has_no_kind_on_the_wire() -> None:
    msg = frames.Msg(conv=CONV, seq=1, id=ID, from_="ana", ts=1, body=frames.TextBody(text="x"))
    assert _on_the_wire(msg).keys() == {"t", "conv", "seq", "id", "from", "ts", "body"}


def test_a_deleted_message_keeps_its_seq_and_says_nil() -> None:
    msg = frames.Msg(conv=CONV, seq=7, id=ID, from_="ana", ts=1, body=None, deleted=True)
    wire = _on_the_wire(msg)
    assert (wire["seq"], wire["body"], wire["deleted"]) == (7, None, True)


def test_whether_a_send_was_a_duplicate_is_always_said() -> None:
    sent = frames.Sent(rid=1, conv=CONV, id=ID, seq=1, ts=1, dup=False)
    assert _on_the_wire(sent)["dup"] is False


def test_an_empty_list_is_not_the_same_as_none() -> None:
    send = frames.Send(rid=1, conv=CONV, id=ID, body=frames.TextBody(text="x"), channels=[])
    assert _on_the_wire(send)["channels"] == []


def test_a_fetch_has_one_bound_at_most() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        frames.Fetch(rid=1, conv=CONV, after=1, before=3)


def test_a_fetch_asks_for_a_whole_page_unless_told_otherwise() -> None:
    assert frames.Fetch(rid=1, conv=CONV).limit == frames.FETCH_LIMIT == 100


def _text_of(length: int) -> bytes:
    body = {"type": "text", "text": "𝄞" * length}
    return encode({"t": "send", "rid": 1, "conv": CONV, "id": ID, "body": body})


def test_the_length_of_a_text_is_left_to_the_server_that_announces_it() -> None:
    assert isinstance(decode_client(_text_of(10_001)), frames.Send)


def _create(title: str) -> bytes:
    return encode({"t": "create", "rid": 1, "type": "group", "members": [], "title": title})


def test_lengths_count_characters_and_not_bytes() -> None:
    assert isinstance(decode_client(_create("𝄞" * 200)), frames.Create)
    with pytest.raises(InvalidPayload):
        decode_client(_create("𝄞" * 201))
