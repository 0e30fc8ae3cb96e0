"""Events as they are to be stored."""

from __future__ import annotations

from msgspec.structs import replace

from chat4all_actors.conversation import appends
from chat4all_protocol.codec import decode_body
from chat4all_protocol.frames import FileBody, SendBody, TextBody
from chat4all_protocol.ids import new_id

CONV, ID = new_id(), new_id()
FILE = FileBody(new_id(), "look")
WHOLE = replace(FILE, name="plan.png", size=9, mime="image/png", width=3, height=2, thumbnail=True)


def test_what_the_server_tells_of_a_file_is_stored_and_no_part_of_what_its_sender_said() -> None:
    said = appends.message(CONV, "ana", ID, FILE), appends.edit(CONV, "ana", ID, 1, FILE)
    told = appends.message(CONV, "ana", ID, WHOLE), appends.edit(CONV, "ana", ID, 1, WHOLE)
    for one, other in zip(said, told, strict=True):
        assert one.digest == other.digest
        assert other.body is not None
        assert decode_body(other.body) == WHOLE


def test_other_words_have_another_digest() -> None:
    bodies: list[SendBody] = [
        FILE,
        replace(FILE, text="see"),
        replace(FILE, text=None),
        replace(FILE, file_id=new_id()),
        TextBody("look"),
    ]
    messages = [appends.message(CONV, "ana", ID, body).digest for body in bodies]
    edits = [appends.edit(CONV, "ana", ID, 1, body).digest for body in bodies]
    assert len({*messages, *edits}) == 2 * len(bodies)
