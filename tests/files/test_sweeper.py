from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.files.errors import FileRefused
from chat4all_storage.ports.files import Use

from .files_harness import BASE, CHUNK, TEXT, Place, new_file, sha256
from .test_clamd import LIMIT, served

if TYPE_CHECKING:
    from trio.testing import MockClock


HOUR = 3600.0
DAY = 24 * HOUR
TWO_PARTS = random.Random(3).randbytes(CHUNK + 5)


async def sweep(place: Place) -> None:
    """One sweep of this node, now."""
    await place.files.sweeper.sweep()


async def gone(place: Place, id_: str) -> bool:
    """Whether neither the directory nor the store has anything of it."""
    return await place.catalogue.find(id_) is None and place.objects.keys == set()


async def test_an_upload_that_is_never_completed_goes_with_its_parts(
    autojump_clock: MockClock,
) -> None:
    async with Place(upload_lifetime=DAY).running() as place:
        status = await place.initiate(TWO_PARTS, mime="application/octet-stream")
        await place.objects.request(status.addresses[0].address, TWO_PARTS[:CHUNK])
        await trio.sleep(DAY - 120)
        assert (await place.files.status("ana", status.file.id, BASE)).uploaded == [1]
        await trio.sleep(300)
        assert await gone(place, status.file.id)


async def test_an_upload_that_never_began_in_the_store_goes(autojump_clock: MockClock) -> None:
    async with Place(upload_lifetime=DAY).running() as place:
        new = new_file()
        await place.catalogue.add(new, lifetime=DAY, quota=0, max_uploads=0)
        await place.objects.begin(new.key, part_size=CHUNK, mime="text/plain")  # and then a crash
        await trio.sleep(DAY + 120)
        assert await gone(place, new.id)


async def test_a_check_that_a_crash_broke_off_is_finished_without_its_client(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    file = await place.uploaded()
    await place.catalogue.begin_check(file.id, sha256(TEXT), holder="dead", lease=30)
    async with place.running():
        await trio.sleep(200)
        assert (await place.stands(file.id)).state == "ready"
        assert [each.id for each in place.told] == [file.id]


async def test_what_a_crash_left_of_a_rejected_file_goes_and_its_fate_stays_known(
    autojump_clock: MockClock,
) -> None:
    place = Place()
    file = await place.uploaded()
    await place.catalogue.begin_check(file.id, sha256(b"other"), holder="dead", lease=30)
    verdict = await place.checking().check(await place.stands(file.id), _nowhere)
    await place.catalogue.finish(file.id, verdict, holder="dead")  # and then a crash
    async with place.running():
        await trio.sleep(200)
        assert place.objects.keys == set()
        assert (await place.stands(file.id)).state == "rejected"
        await trio.sleep(8 * DAY)
        assert await gone(place, file.id)


async def _nowhere(key: str) -> bool:
    return False


async def test_a_file_that_no_message_carries_goes_after_a_while(autojump_clock: MockClock) -> None:
    async with Place(file_unused_kept=7 * DAY).running() as place:
        file = await place.ready()
        await trio.sleep(6.9 * DAY)
        assert (await place.stands(file.id)).state == "ready"
        await trio.sleep(1.3 * DAY)
        assert await gone(place, file.id)


async def test_a_use_whose_message_never_came_does_not_keep_a_file(
    autojump_clock: MockClock,
) -> None:
    async with Place(file_unused_kept=7 * DAY).running() as place:
        file = await place.ready()
        conversation = "00000000-0000-4000-8000-000000000000"
        await place.catalogue.use(file.id, Use(conversation, file.id), owner="ana")
        await trio.sleep(10 * DAY)
        assert await gone(place, file.id)


async def test_what_its_owner_removed_goes_from_the_store(autojump_clock: MockClock) -> None:
    async with Place().running() as place:
        file = await place.ready()
        await place.files.remove("ana", file.id)
        await trio.sleep(120)
        assert await gone(place, file.id)


async def test_a_store_that_is_away_keeps_what_is_to_go_until_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with Place().running() as place:
        file = await place.ready()
        await place.files.remove("ana", file.id)
        place.objects.down = True
        await trio.sleep(HOUR)
        assert (await place.stands(file.id)).state == "removing"
        place.objects.down = False
        await trio.sleep(HOUR)
        assert await gone(place, file.id)


async def test_what_could_not_be_scanned_is_scanned_when_the_scanner_is_back(
    mock_clock: MockClock,
) -> None:
    place = Place(clamd="/nowhere")
    async with place.running():
        file = await place.ready(TEXT[:LIMIT])
        assert file.state == "quarantined"
        mock_clock.jump(HOUR)
        await sweep(place)
        assert (await place.files.complete("ana", file.id, sha256(TEXT[:LIMIT]))) != file
        assert (await place.stands(file.id)).state == "quarantined"
    async with served() as clamd, Place(place.storage, clamd=clamd.address).running() as back:
        await sweep(back)
        assert (await place.stands(file.id)).state == "quarantined"  # it was tried just now
        mock_clock.jump(HOUR)
        await sweep(back)
        judged = await back.files.complete("ana", file.id, sha256(TEXT[:LIMIT]))
        assert (judged.state, judged.reason) == ("ready", None)


async def test_nodes_that_sweep_together_do_everything_once(autojump_clock: MockClock) -> None:
    first = Place()
    second = Place(first.storage)
    async with first.running(), second.running():
        files = [await first.ready() for _ in range(5)]
        for file in files[:3]:
            await first.files.remove("ana", file.id)
        await trio.sleep(300)
        assert first.objects.keys == {file.key for file in files[3:]}
        with pytest.raises(FileRefused):
            await first.files.show("ana", files[0].id)
