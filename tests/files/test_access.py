from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.conversation import appends
from chat4all_actors.files.access import Access
from chat4all_actors.files.errors import FileRefused
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.frames import FileBody, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.files import Use
from tests.storage.builders import commit, new_conversation

from .files_harness import BASE, Place

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append
    from chat4all_storage.ports.files import File


class Group:
    """A group of ana, who has a file, and bob."""

    def __init__(self, place: Place, file: File, id_: str) -> None:
        self.place = place
        self.file = file
        self.id = id_
        self.access = Access(place.catalogue, place.storage.shards)

    async def store(self, append: Append) -> None:
        await commit(self.place.storage.shards.of(self.id), append)

    async def send(self, sender: str = "ana") -> str:
        """The file goes to the group; the id of the message."""
        id_, files = new_id(), self.place.files
        body = await files.attach(sender, FileBody(self.file.id), self.id, id_, field="file_id")
        await self.store(appends.message(self.id, sender, id_, body))
        return id_

    async def edit(self, seq: int, body: FileBody | TextBody) -> None:
        """Another body for ana's message."""
        id_ = new_id()
        if isinstance(body, FileBody):
            body = await self.place.files.attach("ana", body, self.id, id_, field="file_id")
        await self.store(appends.edit(self.id, "ana", id_, seq, body))

    async def has(self, user: str) -> bool:
        """Whether the user may have the file."""
        try:
            await self.place.files.download(user, self.file.id, BASE)
        except FileRefused as refused:
            return refused.code is not ErrorCode.NOT_FOUND
        return True


@pytest.fixture
async def group() -> Group:
    place = Place()
    async with place.running():
        file = await place.ready()
    shard = place.storage.shards.all[0]
    return Group(place, file, await new_conversation(shard, "ana", "bob"))


async def test_before_it_is_sent_a_file_is_its_owners_alone(group: Group) -> None:
    assert await group.has("ana")
    assert not await group.has("bob")


async def test_who_may_read_the_message_may_have_the_file(group: Group) -> None:
    await group.send()
    assert await group.has("bob")
    assert not await group.has("carla")


async def test_a_use_without_its_message_gives_nobody_anything(group: Group) -> None:
    body = FileBody(group.file.id)
    await group.place.files.attach("ana", body, group.id, new_id(), field="file_id")
    assert not await group.has("bob")


async def test_another_file_in_the_message_gives_nobody_this_one(group: Group) -> None:
    id_ = new_id()
    await group.place.catalogue.use(group.file.id, Use(group.id, id_), owner="ana")
    await group.store(appends.message(group.id, "ana", id_, FileBody(new_id())))
    assert not await group.has("bob")


async def test_who_leaves_has_it_no_more(group: Group) -> None:
    await group.send()
    await group.store(appends.leave(group.id, "bob", new_id(), "bob"))
    assert not await group.has("bob")
    assert await group.has("ana")


async def test_what_is_deleted_gives_it_to_nobody(group: Group) -> None:
    await group.send()
    await group.store(appends.delete(group.id, "ana", new_id(), 1))
    assert not await group.has("bob")


async def test_what_is_edited_away_gives_it_to_nobody_and_what_is_edited_in_does(
    group: Group,
) -> None:
    await group.send()
    await group.edit(1, TextBody("no file any more"))
    assert not await group.has("bob")
    await group.edit(1, FileBody(group.file.id))
    assert await group.has("bob")


async def test_who_may_have_it_may_pass_it_on(group: Group) -> None:
    await group.send()
    shard = group.place.storage.shards.all[0]
    other = Group(group.place, group.file, await new_conversation(shard, "bob", "carla"))
    await other.send("bob")
    assert await other.has("carla")
    third = Group(group.place, group.file, await new_conversation(shard, "zoe", "yan"))
    with pytest.raises(FileRefused) as caught:
        await third.send("zoe")
    assert (caught.value.code, caught.value.field) == (ErrorCode.NOT_FOUND, "file_id")


async def test_what_is_passed_on_stays_when_the_first_message_goes(group: Group) -> None:
    await group.send()
    shard = group.place.storage.shards.all[0]
    other = Group(group.place, group.file, await new_conversation(shard, "bob", "carla"))
    await other.send("bob")
    await group.store(appends.delete(group.id, "ana", new_id(), 1))
    assert await other.has("carla")
    assert await group.has("bob")  # by the message of his own


async def test_a_message_tells_what_the_file_is_whatever_its_sender_says(group: Group) -> None:
    said = FileBody(group.file.id, "look", name="another.txt", size=1, mime="image/png", width=5)
    body = await group.place.files.attach("ana", said, group.id, new_id(), field="file_id")
    assert body == FileBody(
        group.file.id, "look", name=group.file.name, size=group.file.size, mime="text/plain"
    )


async def test_a_file_that_is_not_ready_is_not_sent(group: Group) -> None:
    group.file = await group.place.uploaded()
    with pytest.raises(FileRefused, match="the file is uploading, not ready") as caught:
        await group.send()
    assert caught.value.code is ErrorCode.CONFLICT


async def test_the_uses_whose_messages_are_gone_are_told_apart(group: Group) -> None:
    deleted = await group.send()
    kept = await group.send()
    await group.store(appends.delete(group.id, "ana", new_id(), 1))
    used, over = await group.access.standing(group.file.id)
    assert used
    assert over == [Use(group.id, deleted)]
    await group.store(appends.delete(group.id, "ana", new_id(), 2))
    used, over = await group.access.standing(group.file.id)
    assert not used
    assert {use.event for use in over} == {deleted, kept}


async def test_a_file_with_many_uses_is_looked_up_in_portions(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat4all_actors.files.access.AT_ONCE", 2)
    for _ in range(4):
        body = FileBody(group.file.id)
        await group.place.files.attach("ana", body, group.id, new_id(), field="file_id")
    assert not await group.has("bob")
    await group.send()
    assert await group.has("bob")
    used, over = await group.access.standing(group.file.id)
    assert (used, len(over)) == (True, 4)
