"""What every object store does for us: the suite of the port."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.memory.objects import MemoryObjects
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.objects import NoSuchObject, Part
from tests.storage.ports.object_places import (
    HOUR,
    PDF,
    addresses,
    assert_refused,
    begin,
    content,
    make,
    new_key,
    put,
    read,
    upload,
)

if TYPE_CHECKING:
    from tests.storage.ports.object_places import ObjectPlace


# --- uploads


async def test_parts_are_put_in_any_order_and_joined(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 3)
    name = await begin(objects, key)
    where = await addresses(objects, key, name, parts)
    for index in (2, 0, 1):
        await put(objects, where[index], parts[index])
    found = await objects.store.parts(key, name)
    assert [(part.number, part.size) for part in found] == [
        (number, len(data)) for number, data in enumerate(parts, 1)
    ]
    await objects.store.join(key, name, found)
    assert await read(objects, key) == b"".join(parts)


async def test_parts_are_put_in_parallel(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 4)
    name = await begin(objects, key)
    async with trio.open_nursery() as nursery:
        for address, data in zip(await addresses(objects, key, name, parts), parts, strict=True):
            nursery.start_soon(put, objects, address, data)
    await objects.store.join(key, name, await objects.store.parts(key, name))
    assert await read(objects, key) == b"".join(parts)


async def test_of_a_part_that_is_put_twice_the_last_counts(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 2)
    name = await begin(objects, key)
    first, second = await addresses(objects, key, name, parts)
    await put(objects, first, bytes(len(parts[0])))
    await put(objects, second, parts[1])
    await put(objects, first, parts[0])
    found = await objects.store.parts(key, name)
    assert [part.number for part in found] == [1, 2]
    await objects.store.join(key, name, found)
    assert await read(objects, key) == b"".join(parts)


async def test_parts_tell_which_have_come(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 3)
    name = await begin(objects, key)
    assert await objects.store.parts(key, name) == []
    where = await addresses(objects, key, name, parts)
    await put(objects, where[2], parts[2])
    assert [part.number for part in await objects.store.parts(key, name)] == [3]
    await put(objects, where[0], parts[0])
    assert [part.number for part in await objects.store.parts(key, name)] == [1, 3]


async def test_addresses_of_a_part_can_be_asked_for_again(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    await addresses(objects, key, name, parts)
    (again,) = await addresses(objects, key, name, parts)
    await put(objects, again, parts[0])
    await objects.store.join(key, name, await objects.store.parts(key, name))
    assert await read(objects, key) == parts[0]


async def test_parts_that_we_have_ourselves_are_put_like_those_of_clients(
    objects: ObjectPlace,
) -> None:
    key, parts = new_key(), content(objects, 3)
    name = await begin(objects, key)
    await put(objects, (await addresses(objects, key, name, parts))[1], parts[1])
    await objects.store.put_part(key, name, 3, parts[2])
    assert [part.number for part in await objects.store.parts(key, name)] == [2, 3]
    await objects.store.put_part(key, name, 1, parts[0])
    found = await objects.store.parts(key, name)
    assert [(part.number, part.size) for part in found] == [
        (number, len(data)) for number, data in enumerate(parts, 1)
    ]
    await objects.store.join(key, name, found)
    assert await read(objects, key) == b"".join(parts)


async def test_of_a_part_of_ours_that_is_put_twice_the_last_counts(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    for data in (parts[0][:-1], bytes(len(parts[0])), parts[0]):
        await objects.store.put_part(key, name, 1, data)
        (found,) = await objects.store.parts(key, name)
        assert (found.number, found.size) == (1, len(data))
    await objects.store.join(key, name, [found])
    assert await read(objects, key) == parts[0]


async def test_no_part_of_ours_is_put_where_there_is_no_upload(objects: ObjectPlace) -> None:
    key, (data,) = new_key(), content(objects, 1)
    joined = await upload(objects, key, [data])
    await objects.store.join(key, joined, await objects.store.parts(key, joined))
    for other_key, other_name in ((key, joined), (new_key(), joined), (key, "none")):
        with pytest.raises(NoSuchObject):
            await objects.store.put_part(other_key, other_name, 1, bytes(len(data)))
    assert await read(objects, key) == data


async def test_a_part_of_another_size_does_not_count_as_the_part(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    (address,) = await addresses(objects, key, name, parts)
    for data in (parts[0][:-1], parts[0] + b"more", b""):
        reply = await objects.request(address, data)
        seen = [part.size for part in await objects.store.parts(key, name)]
        assert 400 <= reply.status < 500 or seen == [len(data)]
        assert len(parts[0]) not in seen


async def test_a_join_can_be_repeated(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 2)
    name = await upload(objects, key, parts)
    found = await objects.store.parts(key, name)
    for _ in range(3):
        await objects.store.join(key, name, found)
    assert await read(objects, key) == b"".join(parts)


async def test_after_a_join_there_is_no_upload(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await upload(objects, key, parts)
    (address,) = await addresses(objects, key, name, parts)
    await objects.store.join(key, name, await objects.store.parts(key, name))
    with pytest.raises(NoSuchObject):
        await objects.store.parts(key, name)
    assert_refused(await objects.request(address, bytes(len(parts[0]))))
    assert await read(objects, key) == parts[0]


async def test_a_part_that_never_came_is_not_joined(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 2)
    name = await begin(objects, key)
    first, _ = await addresses(objects, key, name, parts)
    await put(objects, first, parts[0])
    (found,) = await objects.store.parts(key, name)
    with pytest.raises(NoSuchObject):
        await objects.store.join(key, name, [found, Part(2, len(parts[1]), found.tag)])
    with pytest.raises(NoSuchObject):
        await read(objects, key)
    assert await objects.store.parts(key, name) == [found]


async def test_what_was_never_begun_is_not_there(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    (address,) = await addresses(objects, key, name, parts)
    await put(objects, address, parts[0])
    found = await objects.store.parts(key, name)
    for other_key, other_name in ((new_key(), name), (key, f"{name[:-1]}_"), (new_key(), "none")):
        with pytest.raises(NoSuchObject):
            await objects.store.parts(other_key, other_name)
        with pytest.raises(NoSuchObject):
            await objects.store.join(other_key, other_name, found)
    assert await objects.store.parts(key, name) == found


async def test_two_uploads_of_a_key_know_nothing_of_each_other(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    one, other = await begin(objects, key), await begin(objects, key)
    assert one != other
    (address,) = await addresses(objects, key, one, parts)
    await put(objects, address, parts[0])
    assert await objects.store.parts(key, other) == []
    await objects.store.join(key, one, await objects.store.parts(key, one))
    assert await read(objects, key) == parts[0]


# --- reading


async def test_an_object_is_read_from_an_offset(objects: ObjectPlace) -> None:
    parts = content(objects, 2)
    key, whole = await make(objects, parts), b"".join(parts)
    for start in (0, 1, len(parts[0]) - 1, len(parts[0]), len(whole) - 1, len(whole)):
        assert await read(objects, key, start) == whole[start:]


async def test_pieces_are_small_whatever_the_object_is(objects: ObjectPlace) -> None:
    key, data = new_key(), random.Random(1).randbytes(5 * 2**20 + 1)
    await objects.store.put(key, data, "text/plain")
    async with objects.store.read(key) as pieces:
        found = [piece async for piece in pieces]
    assert all(0 < len(piece) <= 2**20 for piece in found)
    assert b"".join(found) == data


async def test_reading_may_end_early(objects: ObjectPlace) -> None:
    key, data = new_key(), random.Random(2).randbytes(5 * 2**20)
    await objects.store.put(key, data, "text/plain")
    async with objects.store.read(key) as pieces:
        first = await anext(pieces)
    assert data.startswith(first)
    assert await read(objects, key) == data


async def test_what_is_not_there_is_not_read(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    with pytest.raises(NoSuchObject):
        await read(objects, key)
    await upload(objects, key, parts)
    with pytest.raises(NoSuchObject):  # it was not joined
        await read(objects, key)


async def test_a_small_object_is_put_whole_and_may_be_put_again(objects: ObjectPlace) -> None:
    key = new_key()
    for data in (b"one", b"two", b""):
        await objects.store.put(key, data, "image/webp")
        assert await read(objects, key) == data


# --- removal


async def test_an_object_is_removed(objects: ObjectPlace) -> None:
    key = await make(objects, content(objects, 1))
    other = await make(objects, content(objects, 1))
    await objects.store.remove(key)
    with pytest.raises(NoSuchObject):
        await read(objects, key)
    assert await read(objects, other)


async def test_every_upload_of_a_key_is_removed(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    names = [await upload(objects, key, parts), await begin(objects, key)]
    addressed = [(await addresses(objects, key, name, parts))[0] for name in names]
    await objects.store.remove(key)
    for name, address in zip(names, addressed, strict=True):
        with pytest.raises(NoSuchObject):
            await objects.store.parts(key, name)
        assert_refused(await objects.request(address, parts[0]))


async def test_uploads_of_a_key_that_begins_like_it_stay(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    longer = f"{key}x"
    name = await upload(objects, longer, parts)
    await objects.store.remove(key)
    assert len(await objects.store.parts(longer, name)) == 1


async def test_an_object_goes_with_uploads_of_its_key(objects: ObjectPlace) -> None:
    parts = content(objects, 1)
    key = await make(objects, parts)
    name = await upload(objects, key, parts)
    await objects.store.remove(key)
    with pytest.raises(NoSuchObject):
        await read(objects, key)
    with pytest.raises(NoSuchObject):
        await objects.store.parts(key, name)


async def test_uploads_end_without_their_object(objects: ObjectPlace) -> None:
    parts = content(objects, 1)
    key = await make(objects, parts)
    names = [await upload(objects, key, parts), await begin(objects, key)]
    for _ in range(2):
        await objects.store.end_uploads(key)
    for name in names:
        with pytest.raises(NoSuchObject):
            await objects.store.parts(key, name)
    assert await read(objects, key) == b"".join(parts)


async def test_what_is_not_there_is_removed_as_well(objects: ObjectPlace) -> None:
    key = new_key()
    await objects.store.end_uploads(key)
    for _ in range(2):
        await objects.store.remove(key)
    await objects.store.put(key, b"data", "text/plain")
    for _ in range(2):
        await objects.store.remove(key)


# --- the store in memory


async def test_nothing_works_in_memory_while_it_is_down() -> None:
    store = MemoryObjects()
    await store.put("key", b"data", "text/plain")
    address = await store.address("key", PDF, lifetime=HOUR, base="http://files.example")
    store.down = True
    with pytest.raises(Unavailable):
        await store.begin("key", part_size=1, mime="text/plain")
    with pytest.raises(Unavailable):
        await store.put_part("key", "upload", 1, b"data")
    with pytest.raises(Unavailable):
        async with store.read("key"):
            pass
    assert (await store.request(address)).status == 503
    store.down = False
    assert (await store.request(address)).body == b"data"


async def test_reading_in_memory_breaks_off_when_it_goes_down() -> None:
    store = MemoryObjects()
    await store.put("key", bytes(3 * 2**20), "text/plain")
    async with store.read("key") as pieces:
        await anext(pieces)
        store.down = True
        with pytest.raises(Unavailable):
            await anext(pieces)


async def test_keys_in_memory_tell_what_was_left() -> None:
    store = MemoryObjects()
    await store.put("whole", b"data", "text/plain")
    await store.begin("part", part_size=1, mime="text/plain")
    assert store.keys == {"whole", "part"}
    await store.remove("whole")
    await store.remove("part")
    assert store.keys == set()
