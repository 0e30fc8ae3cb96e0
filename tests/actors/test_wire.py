from __future__ import annotations

from msgspec.structs import replace

from chat4all_actors.rfc6455 import binary_frame
from chat4all_actors.wire import (
    RETRY_AFTER_MS,
    framed,
    message,
    not_found,
    progress,
    refusal,
    unavailable,
)
from chat4all_protocol.codec import decode_server, encode, encode_body, encode_meta
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import FileProgress, Msg, Pong, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import StoredEvent
from chat4all_storage.ports.files import File

CONVERSATION, ID = new_id(), new_id()


def event(body: bytes | None, meta: bytes | None = None, *, deleted: bool = False) -> StoredEvent:
    return StoredEvent(
        conversation=CONVERSATION,
        seq=7,
        id=ID,
        sender="ana",
        kind="message",
        ts=123,
        body=body,
        reply_to=3,
        target=2,
        meta=meta,
        deleted=deleted,
    )


def test_a_stored_event_becomes_the_message_that_was_sent() -> None:
    stored = event(encode_body(TextBody("hello")), encode_meta({"k": [1, None]}))
    got = decode_server(encode(message(stored)))
    assert got == Msg(
        conv=CONVERSATION,
        seq=7,
        id=ID,
        from_="ana",
        ts=123,
        kind="message",
        body=TextBody("hello"),
        reply_to=3,
        target=2,
        meta={"k": [1, None]},
    )


def test_an_event_without_body_and_meta_becomes_one_that_has_none() -> None:
    got = decode_server(encode(message(event(None, deleted=True))))
    assert isinstance(got, Msg)
    assert (got.body, got.meta, got.deleted) == (None, None, True)


def test_of_a_file_it_is_told_how_far_it_is_and_nothing_of_where_it_is() -> None:
    file = File(
        id=ID,
        owner="ana",
        name="plan.png",
        size=9,
        mime="image/png",
        conversation=CONVERSATION,
        key="secret",
        chunk_size=4,
        state="uploading",
        created_at=1,
        expires_at=2,
    )
    expected = FileProgress(ID, "uploading", 4, 9, "plan.png", "image/png")
    assert decode_server(encode(progress(file, 4))) == expected
    ready = replace(file, state="ready", width=3, height=2, thumbnail="another secret")
    assert progress(ready, 9, rid=7) == replace(
        expected, state="ready", uploaded=9, rid=7, width=3, height=2, thumbnail=True
    )
    rejected = replace(file, state="rejected", reason="checksum")
    assert progress(rejected, 9) == replace(
        expected, state="rejected", uploaded=9, reason="checksum"
    )


def test_body_and_meta_are_copied_byte_for_byte() -> None:
    body, meta = encode_body(TextBody("x" * 300)), encode_meta({"zero": 0})
    data = encode(message(event(body, meta)))
    assert body in data
    assert meta in data


def test_a_frame_is_one_binary_websocket_message() -> None:
    frame = Pong(now=5)
    assert framed(frame) == binary_frame(encode(frame))
    assert decode_server(framed(frame)[2:]) == frame


def test_unavailable_is_for_now_and_says_when_to_come_again() -> None:
    error = unavailable(4, "busy")
    assert (error.code, error.temporary, error.rid) == (ErrorCode.UNAVAILABLE, True, 4)
    assert (error.retry_after_ms, error.message) == (RETRY_AFTER_MS, "busy")


def test_a_refusal_is_for_good() -> None:
    error = refusal(ErrorCode.CONFLICT, "no", 4, field="id")
    assert (error.code, error.temporary, error.rid) == (ErrorCode.CONFLICT, False, 4)
    assert (error.field, error.message, error.retry_after_ms) == ("id", "no", None)


def test_not_found_does_not_tell_whether_the_conversation_exists() -> None:
    error = not_found(4)
    assert (error.code, error.temporary, error.rid) == (ErrorCode.NOT_FOUND, False, 4)
    assert CONVERSATION not in error.message
