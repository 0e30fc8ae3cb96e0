from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import FileChanged
from chat4all_client.local_file import HASHED, PIECE, look_at

if TYPE_CHECKING:
    from pathlib import Path

    from chat4all_client.local_file import LocalFile

DATA = bytes(range(251)) * ((HASHED + PIECE) // 251)


@pytest.fixture
async def file(tmp_path: Path) -> LocalFile:
    path = tmp_path / "plan.pdf"
    await trio.to_thread.run_sync(path.write_bytes, DATA)
    return await look_at(path)


async def test_a_part_is_read_in_small_pieces_from_its_place(file: LocalFile) -> None:
    pieces = [piece async for piece in file.pieces(1000, 3 * PIECE)]
    assert b"".join(pieces) == DATA[1000 : 1000 + 3 * PIECE]
    assert max(map(len, pieces)) <= PIECE


async def test_the_checksum_is_that_of_all_bytes(file: LocalFile) -> None:
    assert await file.checksum() == f"sha256:{hashlib.sha256(DATA).hexdigest()}"


async def test_a_file_that_ends_too_early_was_changed(file: LocalFile) -> None:
    with pytest.raises(FileChanged, match=r"plan\.pdf was changed while it was uploaded"):
        assert not [piece async for piece in file.pieces(len(DATA), 1)]


async def test_a_file_holds_until_it_is_written_to(file: LocalFile) -> None:
    await file.hold()
    await trio.to_thread.run_sync(file.path.write_bytes, DATA[1:])
    with pytest.raises(FileChanged):
        await file.hold()


async def test_what_can_not_be_uploaded_is_told_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    await trio.to_thread.run_sync(empty.touch)
    with pytest.raises(ValueError, match="empty is empty"):
        await look_at(empty)
    with pytest.raises(ValueError, match="is no file"):
        await look_at(tmp_path)
    with pytest.raises(FileNotFoundError):
        await look_at(tmp_path / "missing")
