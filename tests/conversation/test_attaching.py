"""What becomes of a message with a file on its way to the log."""

from __future__ import annotations

import pytest

from chat4all_actors.conversation import appends
from chat4all_actors.conversation.attaching import attached
from chat4all_actors.files.errors import FileRefused
from chat4all_protocol.codec import decode_body
from chat4all_protocol.frames import FileBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.storage import Storage, memory_storage
from tests.actors.fake_files import FakeFiles, picture

PICTURE = picture()
BODY = FileBody(PICTURE.id, "look")
ID, CONV = new_id(), new_id()


async def place() -> tuple[FakeFiles, Storage]:
    """A picture of ana's, and a conversation of ana and bob."""
    storage = memory_storage()
    await storage.shards.create(CONV, "group", "t", "ana", {"ana": "owner", "bob": "member"})
    return FakeFiles(PICTURE), storage


async def test_the_use_is_noted_and_the_body_tells_what_the_file_is() -> None:
    files, storage = await place()
    append = appends.message(CONV, "ana", ID, BODY)
    whole = await attached(files, storage.shards, append, BODY, field="f")
    assert files.uses == [(PICTURE.id, CONV, ID)]
    assert whole.body is not None
    told = decode_body(whole.body)
    assert isinstance(told, FileBody)
    assert (told.text, told.name, told.size) == ("look", "plan.png", 9)
    assert whole.digest == append.digest


@pytest.mark.parametrize(
    ("sender", "conversation"),
    [("ana", CONV), ("bob", CONV), ("ana", new_id())],
    ids=["itself", "another sender's", "elsewhere"],
)
async def test_only_the_very_event_that_stands_may_do_without_its_file(
    sender: str, conversation: str
) -> None:
    files, storage = await place()
    append = appends.message(CONV, "ana", ID, BODY)
    whole = await attached(files, storage.shards, append, BODY, field="f")
    await storage.shards.of(CONV).commit([whole], [])
    await files.remove("ana", PICTURE.id)
    again = appends.message(conversation, sender, ID, BODY)
    if (sender, conversation) == ("ana", CONV):
        assert await attached(files, storage.shards, again, BODY, field="f") == whole
    else:
        with pytest.raises(FileRefused) as caught:
            await attached(files, storage.shards, again, BODY, field="f")
        assert caught.value.field == "f"


async def test_while_it_can_not_be_known_whether_the_event_stands_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: object) -> object:
        raise Unavailable("gone")

    files, storage = await place()
    await files.remove("ana", PICTURE.id)
    monkeypatch.setattr(storage.shards.of(CONV), "find", away)
    append = appends.message(CONV, "ana", ID, BODY)
    with pytest.raises(Unavailable):
        await attached(files, storage.shards, append, BODY, field="f")
