from __future__ import annotations

import os
import random
import shutil
import tempfile
from contextlib import aclosing
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all_actors.files.errors import NotTaken
from chat4all_actors.files.kinds import HEAD
from chat4all_actors.files.spool import PIECE, Spool
from chat4all_storage.ports.errors import Unavailable

from .files_harness import TEXT, sha256

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence


async def told(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await trio.lowlevel.checkpoint()
        yield piece


@given(
    sizes=st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2 * PIECE)), max_size=5),
    at=st.integers(0, 3 * PIECE),
    size=st.integers(1, 2 * PIECE),
)
@settings(max_examples=30, deadline=None)
def test_whatever_pieces_it_comes_in_a_file_is_gathered_whole(
    sizes: list[int], at: int, size: int
) -> None:
    source = random.Random(len(sizes))
    pieces = [source.randbytes(count) for count in sizes]
    whole = b"".join(pieces)

    async def main(directory: Path) -> None:
        async with Spool(directory).open() as spooled:
            await spooled.fill(told(pieces), len(whole))
            assert (spooled.size, spooled.head) == (len(whole), whole[:HEAD])
            assert spooled.sha256 == sha256(whole)
            assert await spooled.read(at, size) == whole[at : at + size]
            assert await spooled.read(0, len(whole)) == whole

    with tempfile.TemporaryDirectory() as directory:
        trio.run(main, Path(directory))


@pytest.mark.parametrize("pieces", [[b"eleven byte"], [b"ten bytes!", b"", b"1"]])
async def test_no_more_is_gathered_than_is_allowed(tmp_path: Path, pieces: list[bytes]) -> None:
    asked = 0

    async def more() -> AsyncGenerator[bytes, None]:
        nonlocal asked
        for piece in [*pieces, b"more", b"and more"]:
            asked += 1
            await trio.lowlevel.checkpoint()
            yield piece

    async with Spool(tmp_path).open() as spooled, aclosing(more()) as source:
        with pytest.raises(NotTaken, match="too_large"):
            await spooled.fill(source, 10)
    assert asked == len(pieces)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files can't be seen here")
async def test_nothing_has_a_name_while_it_is_gathered_and_nothing_stays(tmp_path: Path) -> None:
    place = tmp_path / "of" / "files"
    async with Spool(place).open() as spooled:
        await spooled.fill(told([TEXT, bytes(PIECE)]), 2 * PIECE)
        assert os.listdir(place) == []
        assert any(file.startswith(f"{place}/") for file in open_files())
        assert place.stat().st_mode & 0o777 == 0o700
    assert os.listdir(place) == []
    with pytest.raises(ValueError, match="closed"):
        await spooled.read(0, 1)


def open_files() -> list[str]:
    """What this process has open, by the places where it is or was."""
    listed = Path("/proc/self/fd")
    return [os.readlink(file) for file in listed.iterdir() if file.is_symlink()]


async def test_a_disk_that_does_not_take_it_is_said_to_pass(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="on the disk"):
        async with Spool(tmp_path / "file" / "below").open():
            pytest.fail("there is no such directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the disk can't be made full here")
async def test_a_full_disk_is_said_to_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FileIO("/dev/full", "r+"))
    async with Spool(tmp_path).open() as spooled:
        with pytest.raises(Unavailable, match="No space left"):
            await spooled.fill(told([TEXT]), len(TEXT))


async def test_a_directory_that_was_removed_is_made_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    async with spool.open():
        shutil.rmtree(tmp_path / "spool")
    async with spool.open() as spooled:
        await spooled.fill(told([TEXT]), len(TEXT))
        assert await spooled.read(0, 10) == TEXT[:10]
