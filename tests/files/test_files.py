from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_actors.files.errors import FileRefused
from chat4all_protocol.codes import ErrorCode
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable

from .files_harness import BASE, CHUNK, TEXT, Place, sha256

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trio.testing import MockClock

    from chat4all_storage.ports.objects import Address

THREE_PARTS = random.Random(5).randbytes(2 * CHUNK + 17)
NOISE: dict[str, Any] = {"mime": "application/octet-stream"}


async def refusal(asked: Awaitable[object]) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        await asked
    return caught.value


# Beginning


async def test_an_upload_is_told_its_parts_and_where_each_is_put() -> None:
    status = await Place().initiate(THREE_PARTS, **NOISE)
    assert status.file.state == "uploading"
    assert status.missing == [1, 2, 3]
    assert [part.part for part in status.addresses] == [1, 2, 3]
    assert all(part.address.method == "PUT" for part in status.addresses)
    assert (status.uploaded, status.uploaded_bytes) == ([], 0)


async def test_a_key_says_nothing_of_the_file() -> None:
    place = Place()
    first, second = await place.initiate(), await place.initiate()
    assert first.file.key != second.file.key
    assert len(first.file.key) == 32
    for told in (first.file.name, first.file.owner, first.file.id):
        assert told not in first.file.key


@pytest.mark.parametrize(
    ("what", "code", "field"),
    [
        ({"size": 1001}, ErrorCode.TOO_LARGE, "size"),
        ({"mime": "text/html"}, ErrorCode.UNSUPPORTED_MEDIA_TYPE, "mime_type"),
        ({"conversation": new_id()}, ErrorCode.NOT_FOUND, "conversation_id"),
    ],
)
async def test_what_may_not_be_uploaded_is_refused_before_anything_is_noted(
    what: dict[str, Any], code: ErrorCode, field: str
) -> None:
    place = Place(file_max_size=1000)
    told = await refusal(place.initiate(**({"data": TEXT[:10]} | what)))
    assert (told.code, told.field) == (code, field)
    assert await place.files.of("ana", None, 10) == []
    assert place.objects.keys == set()


async def test_a_user_has_a_quota_of_bytes_which_uploads_under_way_count_for() -> None:
    place = Place(file_quota=2 * len(TEXT))
    await place.initiate()
    second = await place.initiate()
    told = await refusal(place.initiate())
    assert (told.code, told.field) == (ErrorCode.TOO_LARGE, "size")
    assert told.details == {"quota_bytes": 2 * len(TEXT)}
    await place.initiate(user="bob")
    await place.files.remove("ana", second.file.id)
    await place.initiate()


async def test_a_user_has_a_bounded_number_of_unfinished_uploads() -> None:
    place = Place(max_uploads_per_user=2)
    for _ in range(2):
        await place.initiate()
    assert (await refusal(place.initiate())).code is ErrorCode.CONFLICT


async def test_the_same_request_again_finds_the_same_upload() -> None:
    place = Place()
    id_ = new_id()
    first = await place.initiate(id_=id_)
    await place.put(first)
    again = await place.initiate(id_=id_)
    assert (again.file.key, again.uploaded, again.missing) == (first.file.key, [1], [])
    told = await refusal(place.initiate(id_=id_, name="another.txt"))
    assert told.code is ErrorCode.CONFLICT


async def test_an_upload_whose_beginning_was_broken_off_begins_when_it_is_asked_for() -> None:
    place = Place()
    place.objects.down = True
    id_ = new_id()
    with pytest.raises(Unavailable):
        await place.initiate(id_=id_)
    assert (await place.stands(id_)).upload is None
    place.objects.down = False
    assert (await place.files.status("ana", id_, BASE)).missing == [1]
    assert (await place.stands(id_)).upload is not None


# Parts


async def test_parts_come_in_any_order_and_again_and_what_is_missing_is_told() -> None:
    place = Place()
    begun = await place.initiate(THREE_PARTS, **NOISE)
    for part in (3, 1, 3):
        piece = THREE_PARTS[(part - 1) * CHUNK : part * CHUNK]
        await place.objects.request(begun.addresses[part - 1].address, piece)
    status = await place.files.status("ana", begun.file.id, BASE)
    assert (status.uploaded, status.missing) == ([1, 3], [2])
    assert [part.part for part in status.addresses] == [2]
    assert status.uploaded_bytes == CHUNK + 17


async def test_addresses_live_as_long_as_the_upload(autojump_clock: MockClock) -> None:
    place = Place(upload_lifetime=1000.0)
    begun = await place.initiate(THREE_PARTS, **NOISE)
    await trio.sleep(999)
    last = THREE_PARTS[2 * CHUNK :]
    assert (await place.objects.request(begun.addresses[2].address, last)).status == 200
    await trio.sleep(2)
    assert (await place.objects.request(begun.addresses[2].address, last)).status == 403


async def test_an_upload_is_nobody_elses() -> None:
    place = Place()
    file = (await place.initiate()).file
    for asked in (
        place.files.status("bob", file.id, BASE),
        place.files.complete("bob", file.id, sha256(TEXT)),
        place.files.remove("bob", file.id),
        place.files.show("bob", file.id),
        place.files.status("ana", new_id(), BASE),
    ):
        assert (await refusal(asked)).code is ErrorCode.NOT_FOUND


# Completing


async def test_a_file_is_ready_when_its_bytes_have_the_hash_that_was_told() -> None:
    async with Place().running() as place:
        file = await place.ready(THREE_PARTS, **NOISE)
        assert (file.state, file.sha256) == ("ready", sha256(THREE_PARTS))
        assert place.told == [file]


async def test_before_its_parts_are_there_a_file_is_not_complete() -> None:
    async with Place().running() as place:
        begun = await place.initiate(THREE_PARTS, **NOISE)
        await place.objects.request(begun.addresses[0].address, THREE_PARTS[:CHUNK])
        told = await refusal(place.files.complete("ana", begun.file.id, sha256(THREE_PARTS)))
        assert (told.code, told.details) == (ErrorCode.CONFLICT, {"missing_chunks": [2, 3]})
        assert (await place.stands(begun.file.id)).state == "uploading"


async def test_a_wrong_hash_leaves_nothing_that_can_be_used() -> None:
    async with Place().running() as place:
        file = await place.uploaded()
        for _ in range(2):  # again, it is the same
            told = await refusal(place.files.complete("ana", file.id, sha256(b"other")))
            assert (told.code, told.field) == (ErrorCode.CONFLICT, "checksum")
            assert told.details == {"reason": "checksum"}
        assert (await refusal(place.files.complete("ana", file.id, sha256(TEXT)))).code is (
            ErrorCode.CONFLICT
        )
        assert place.objects.keys == set()
        assert (await refusal(place.files.download("ana", file.id, BASE))).code is (
            ErrorCode.CONFLICT
        )
        assert [each.state for each in place.told] == ["rejected"]
        assert (await place.stands(file.id)).bytes_stand is False


async def test_completing_again_is_answered_again() -> None:
    async with Place().running() as place:
        file = await place.ready()
        assert await place.files.complete("ana", file.id, sha256(TEXT)) == file
        told = await refusal(place.files.complete("ana", file.id, sha256(b"other")))
        assert (told.code, told.field) == (ErrorCode.CONFLICT, "checksum")
        assert (await place.stands(file.id)).state == "ready"


async def test_several_who_complete_at_once_get_one_check() -> None:
    async with Place().running() as place:
        file = await place.uploaded()
        found = []

        async def complete() -> None:
            found.append(await place.files.complete("ana", file.id, sha256(TEXT)))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(complete)
        assert {each.state for each in found} == {"ready"}
        assert len(place.told) == 1


async def test_a_store_that_fails_in_the_middle_leaves_the_check_to_the_next_who_asks() -> None:
    async with Place().running() as place:
        file = await place.uploaded()
        place.objects.down = True
        with pytest.raises(Unavailable):
            await place.files.complete("ana", file.id, sha256(TEXT))
        place.objects.down = False
        assert (await place.files.complete("ana", file.id, sha256(TEXT))).state == "ready"


async def test_a_check_that_takes_long_is_not_waited_for_for_ever(
    autojump_clock: MockClock,
) -> None:
    place = Place(file_check_patience=20.0)
    file = await place.uploaded()
    # Another node holds it, and does not finish.
    await place.catalogue.begin_check(file.id, sha256(TEXT), holder="other", lease=3600)
    told = await refusal(place.files.complete("ana", file.id, sha256(TEXT)))
    assert (told.code, told.retry_after) == (ErrorCode.TIMEOUT, 2.0)
    assert trio.current_time() == pytest.approx(20.0, abs=0.1)
    told = await refusal(place.files.complete("ana", file.id, sha256(b"other")))
    assert (told.code, told.field) == (ErrorCode.CONFLICT, "checksum")


async def test_a_check_whose_node_died_is_taken_over_by_who_asks(
    autojump_clock: MockClock,
) -> None:
    async with Place().running() as place:
        file = await place.uploaded()
        await place.catalogue.begin_check(file.id, sha256(TEXT), holder="dead", lease=30)
        assert (await place.files.complete("ana", file.id, sha256(TEXT))).state == "ready"
        assert 30 <= trio.current_time() < 32


async def test_a_node_that_stops_lets_go_of_its_checks() -> None:
    place = Place(max_file_checks=1, clamd="/nowhere")
    file = await place.uploaded()
    async with place.running():
        # It waits for its turn for ever: the only one is taken.
        await place.files._checks._turns.acquire_on_behalf_of(place)
        with trio.move_on_after(0.01):
            await place.files.complete("ana", file.id, sha256(TEXT))
        assert len(place.files._checks) == 1
    begun = await place.catalogue.begin_check(file.id, sha256(TEXT), holder="next", lease=30)
    assert begun is not None
    assert begun[1]


async def test_what_could_not_be_scanned_is_complete_but_not_to_be_had() -> None:
    async with Place(clamd="/nowhere").running() as place:
        file = await place.ready()
        assert (file.state, file.reason) == ("quarantined", "unscanned")
        told = await refusal(place.files.download("ana", file.id, BASE))
        assert (told.code, told.message) == (ErrorCode.CONFLICT, "the file is quarantined")


# Fetching


async def fetched(place: Place, address: Address) -> bytes:
    reply = await place.objects.request(address)
    assert reply.status == 200
    return reply.body


async def test_the_owner_fetches_what_was_uploaded() -> None:
    async with Place().running() as place:
        file = await place.ready(name="a café.txt")
        address = await place.files.download("ana", file.id, BASE)
        assert await fetched(place, address) == TEXT


async def test_an_address_is_good_for_a_while(autojump_clock: MockClock) -> None:
    async with Place(download_lifetime=60.0).running() as place:
        file = await place.ready()
        address = await place.files.download("ana", file.id, BASE)
        await trio.sleep(61)
        assert (await place.objects.request(address)).status == 403


async def test_an_upload_is_not_fetched_before_it_is_ready() -> None:
    place = Place()
    file = await place.uploaded()
    assert (await refusal(place.files.download("ana", file.id, BASE))).code is ErrorCode.CONFLICT


async def test_a_file_without_a_thumbnail_has_none() -> None:
    async with Place().running() as place:
        file = await place.ready()
        asked = place.files.download("ana", file.id, BASE, thumbnail=True)
        assert (await refusal(asked)).code is ErrorCode.NOT_FOUND


async def test_what_its_owner_removes_is_gone() -> None:
    async with Place().running() as place:
        file = await place.ready()
        await place.files.remove("ana", file.id)
        for asked in (
            place.files.show("ana", file.id),
            place.files.download("ana", file.id, BASE),
            place.files.complete("ana", file.id, sha256(TEXT)),
            place.files.remove("ana", file.id),
        ):
            assert (await refusal(asked)).code is ErrorCode.NOT_FOUND
        assert await place.files.of("ana", None, 10) == []
