from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from PIL import Image

from chat4all_actors.files.clamd import Clamd
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.objects import NoSuchObject

from .files_harness import CHUNK, TEXT, Place, sha256
from .test_clamd import LIMIT, VIRUS, served

if TYPE_CHECKING:
    from chat4all_storage.ports.files import File, Verdict

TWO_PARTS = random.Random(7).randbytes(CHUNK + 1000)


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (640, 320)).save(made, "PNG")
    return made.getvalue()


async def uploaded(place: Place, data: bytes, told: bytes | None = None, **what: Any) -> File:
    """A file that its uploader calls complete, with this hash."""
    file = await place.uploaded(data, **what)
    begun = await place.catalogue.begin_check(
        file.id, told or sha256(data), holder="here", lease=30
    )
    assert begun is not None
    return begun[0]


async def check(place: Place, file: File, scanner: Clamd | None = None) -> Verdict:
    async def note(key: str) -> bool:
        return await place.catalogue.note_thumbnail(file.id, key, holder="here")

    return await place.checking(scanner).check(file, note)


async def test_bytes_that_have_the_hash_and_the_type_that_were_told_are_ready() -> None:
    place = Place()
    verdict = await check(place, await uploaded(place, TEXT))
    assert (verdict.state, verdict.reason, verdict.mime) == ("ready", None, "text/plain")


async def test_a_file_of_several_parts_is_read_as_one() -> None:
    place = Place()
    file = await uploaded(place, TWO_PARTS, mime="application/octet-stream")
    assert (await check(place, file)).state == "ready"


async def test_other_bytes_than_those_of_the_hash_are_rejected() -> None:
    place = Place()
    verdict = await check(place, await uploaded(place, TEXT, told=sha256(TEXT + b" ")))
    assert (verdict.state, verdict.reason) == ("rejected", "checksum")


async def test_more_or_fewer_bytes_than_agreed_are_rejected() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    assert (await check(place, replace(file, size=file.size + 1))).reason == "size"


@pytest.mark.parametrize("mime", ["image/png", "application/pdf"])
async def test_bytes_of_another_type_than_told_are_rejected(mime: str) -> None:
    place = Place()
    assert (await check(place, await uploaded(place, TEXT, mime=mime))).reason == "type"


async def test_what_the_bytes_are_is_what_is_kept() -> None:
    place = Place()
    file = await uploaded(place, picture(), mime="application/octet-stream")
    assert (await check(place, file)).mime == "image/png"


async def test_a_check_that_was_broken_off_after_joining_goes_on_with_the_object() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    assert file.upload is not None
    await place.objects.join(
        file.key, file.upload, await place.objects.parts(file.key, file.upload)
    )
    assert (await check(place, file)).state == "ready"


async def test_an_upload_that_a_crash_left_beside_it_ends_with_the_check() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    left = await place.objects.begin(file.key, part_size=CHUNK, mime="text/plain")
    assert (await check(place, file)).state == "ready"
    with pytest.raises(NoSuchObject):
        await place.objects.parts(file.key, left)


async def test_what_the_store_has_lost_is_rejected() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    await place.objects.remove(file.key)
    assert (await check(place, file)).reason == "size"
    assert (await check(place, replace(file, upload=None))).reason == "size"


async def test_a_store_that_is_away_gives_no_verdict() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    place.objects.down = True
    with pytest.raises(Unavailable):
        await check(place, file)


# Scanning


async def test_what_the_scanner_calls_clean_is_ready() -> None:
    place = Place()
    async with served() as clamd:
        verdict = await check(place, await uploaded(place, TEXT[:LIMIT]), clamd)
    assert (verdict.state, verdict.reason) == ("ready", None)


async def test_what_the_scanner_finds_harmful_is_rejected() -> None:
    place = Place()
    async with served() as clamd:
        verdict = await check(place, await uploaded(place, b"here is " + VIRUS), clamd)
    assert (verdict.state, verdict.reason) == ("rejected", "infected")


async def test_a_wrong_hash_is_wrong_whatever_the_scanner_says() -> None:
    place = Place()
    async with served() as clamd:
        file = await uploaded(place, b"here is " + VIRUS, told=sha256(b""))
        assert (await check(place, file, clamd)).reason == "checksum"


async def test_what_nobody_can_scan_now_is_quarantined() -> None:
    place = Place()
    verdict = await check(place, await uploaded(place, TEXT), Clamd("/nowhere", 1))
    assert (verdict.state, verdict.reason) == ("quarantined", "unscanned")


async def test_what_is_too_large_to_be_scanned_is_quarantined() -> None:
    place = Place()
    async with served() as clamd:
        verdict = await check(place, await uploaded(place, TEXT), clamd)
    assert verdict.state == "quarantined"
    assert verdict.reason in ("too_large_to_scan", "unscanned")  # its answer may be lost


# Images


async def test_an_image_gets_dimensions_and_a_thumbnail_of_its_own_in_the_store() -> None:
    place = Place(image_max_bytes=10_000_000, thumbnail_size=64)
    file = await uploaded(place, picture(), mime="image/png")
    verdict = await check(place, file)
    assert (verdict.width, verdict.height) == (640, 320)
    assert verdict.thumbnail is not None
    async with place.objects.read(verdict.thumbnail) as pieces:
        seen = Image.open(io.BytesIO(b"".join([piece async for piece in pieces])))
    assert (seen.format, seen.size) == ("JPEG", (64, 32))


async def test_a_second_check_puts_the_thumbnail_where_the_first_has_put_it() -> None:
    place = Place(image_max_bytes=10_000_000)
    file = await uploaded(place, picture(), mime="image/png")
    first = await check(place, file)
    again = await check(place, await place.stands(file.id))
    assert again.thumbnail == first.thumbnail
    assert len(place.objects.keys) == 2


async def test_an_upload_that_a_crash_has_left_ends_when_another_one_is_checked() -> None:
    place = Place()
    file = await uploaded(place, TEXT)
    left = await place.objects.begin(file.key, part_size=CHUNK, mime="text/plain")
    assert (await check(place, file)).state == "ready"
    with pytest.raises(NoSuchObject):
        await place.objects.parts(file.key, left)


async def test_an_image_that_can_not_be_read_is_a_file_without_a_thumbnail() -> None:
    place = Place(image_max_bytes=10_000_000)
    file = await uploaded(place, picture()[:60], mime="image/png")
    verdict = await check(place, file)
    assert (verdict.state, verdict.width, verdict.thumbnail) == ("ready", None, None)
