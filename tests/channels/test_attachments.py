"""Our files, as connectors read them."""

from __future__ import annotations

import pytest

from chat4all_actors.channels.attachments import Attachments, StoredUpload
from chat4all_connectors.errors import Refused, Transient
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.objects import MemoryObjects
from chat4all_storage.ports.files import File, NewFile, Verdict
from tests.channels.scene import wall_clock_ms

NEW = NewFile("id", "alice", "cat.png", 9, "image/png", None, "key", 9)


async def ready(files: MemoryFiles) -> File:
    await files.add(NEW, lifetime=60, quota=0, max_uploads=0)
    await files.begin_check("id", b"hash", holder="a", lease=60)
    file = await files.finish("id", Verdict("ready"), holder="a")
    assert file is not None
    return file


async def test_a_file_that_is_ready_is_read_as_often_as_needed() -> None:
    files, objects = MemoryFiles(wall_clock_ms), MemoryObjects()
    await ready(files)
    await objects.put("key", b"the bytes", "image/png")
    attachments = Attachments(files, objects, lifetime=60, base=None)
    upload = attachments.upload(await attachments.of("id"))
    assert (upload.name, upload.mime, upload.size) == ("cat.png", "image/png", 9)
    for _ in range(2):
        async with upload.open() as pieces:
            assert b"".join([piece async for piece in pieces]) == b"the bytes"


async def test_one_that_is_not_ready_or_not_there_is_refused() -> None:
    files = MemoryFiles(wall_clock_ms)
    attachments = Attachments(files, MemoryObjects(), lifetime=60, base=None)
    with pytest.raises(Refused):
        await attachments.of("id")
    await files.add(NEW, lifetime=60, quota=0, max_uploads=0)
    with pytest.raises(Refused):
        await attachments.of("id")


async def test_bytes_that_are_gone_are_refused() -> None:
    files = MemoryFiles(wall_clock_ms)
    upload = StoredUpload(MemoryObjects(), await ready(files))
    with pytest.raises(Refused):
        async with upload.open() as pieces:
            assert [piece async for piece in pieces] == []


async def test_a_store_that_is_away_is_a_passing_failure() -> None:
    objects = MemoryObjects()
    upload = StoredUpload(objects, await ready(MemoryFiles(wall_clock_ms)))
    objects.down = True
    with pytest.raises(Transient):
        async with upload.open():
            pytest.fail("there is nothing to read")


async def test_a_provider_that_fetches_needs_to_know_where() -> None:
    files = MemoryFiles(wall_clock_ms)
    file = await ready(files)
    attachments = Attachments(files, MemoryObjects(), lifetime=60, base=None)
    assert not attachments.public
    with pytest.raises(Refused, match="public_url"):
        await attachments.url(file)


async def test_and_is_given_an_address_then() -> None:
    files = MemoryFiles(wall_clock_ms)
    file = await ready(files)
    attachments = Attachments(files, MemoryObjects(), lifetime=60, base="https://chat.example.org")
    assert (await attachments.url(file)).startswith("https://")
