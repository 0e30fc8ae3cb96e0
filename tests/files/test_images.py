from __future__ import annotations

import io
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from PIL import Image

from chat4all_actors.config import MIB, Settings
from chat4all_actors.files.images import READABLE, Images, Picture
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

ROTATED = 6
"""EXIF: to be turned by 90 degrees."""


def drawn(width: int, height: int, kind: str = "PNG", mode: str = "RGB", **how: Any) -> bytes:
    made = io.BytesIO()
    Image.new(mode, (width, height), how.pop("colour", 0)).save(made, kind, **how)
    return made.getvalue()


async def in_pieces(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def look(data: bytes, **settings: Any) -> Picture | None:
    return await Images(Settings(**settings)).look(in_pieces(data))


def opened(picture: Picture | None) -> Image.Image:
    assert picture is not None
    return Image.open(io.BytesIO(picture.thumbnail))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
async def test_an_image_has_dimensions_and_a_thumbnail(kind: str) -> None:
    found = await look(drawn(1200, 600, kind), thumbnail_size=100)
    assert found is not None
    assert (found.width, found.height) == (1200, 600)
    assert (opened(found).format, opened(found).size) == ("JPEG", (100, 50))


async def test_a_small_image_is_not_made_larger() -> None:
    assert opened(await look(drawn(20, 10))).size == (20, 10)


async def test_a_photograph_that_lies_on_its_side_is_told_and_shown_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    found = await look(drawn(400, 200, "JPEG", exif=exif), thumbnail_size=100)
    assert found is not None
    assert (found.width, found.height) == (200, 400)
    assert opened(found).size == (50, 100)


async def test_what_is_transparent_becomes_white() -> None:
    found = await look(drawn(10, 10, mode="RGBA", colour=(0, 0, 0, 0)))
    assert opened(found).getpixel((5, 5)) == (255, 255, 255)


async def test_a_thumbnail_has_nothing_of_what_a_camera_has_noted() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera, and where it was"
    found = await look(drawn(40, 20, "JPEG", exif=exif))
    assert found is not None
    assert b"a camera" not in found.thumbnail
    assert not opened(found).getexif()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        drawn(100, 100)[:60],
        b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(5000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
    ids=["nothing", "text", "cut off", "noise", "a program in PostScript"],
)
async def test_what_is_no_image_has_neither(data: bytes) -> None:
    assert await look(data) is None


async def test_an_image_of_too_many_pixels_is_not_unpacked() -> None:
    bomb = drawn(20_000, 20_000, mode="1")
    assert len(bomb) < MIB
    assert await look(bomb) is None
    assert await look(bomb, image_max_pixels=20_000 * 20_000 + 1) is not None


async def test_an_image_that_takes_too_much_memory_is_given_up() -> None:
    large = drawn(6000, 6000, mode="RGBA")
    assert await look(large, image_memory=64 * MIB) is None
    assert await look(large) is not None


async def test_bytes_that_never_come_are_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def hanging() -> AsyncGenerator[bytes, None]:
        yield b"\x89PNG"
        await trio.sleep_forever()

    async with aclosing(hanging()) as pieces:
        assert await Images(Settings(image_timeout=5.0)).look(pieces) is None
    assert trio.current_time() == pytest.approx(5.0, abs=0.1)


async def test_a_store_that_fails_meanwhile_is_no_fault_of_the_image() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"\x89PNG"
        raise Unavailable("the store is away")

    with pytest.raises(Unavailable):
        await Images(Settings()).look(failing())


def test_which_files_are_looked_at() -> None:
    images = Images(Settings(image_max_bytes=1000))
    assert images.readable("image/png", 1000)
    assert not images.readable("image/png", 1001)
    assert not images.readable("application/pdf", 10)
    assert not images.readable("image/svg+xml", 10)
    assert READABLE
    assert not any(Images(Settings(image_max_bytes=0)).readable(kind, 1) for kind in READABLE)
