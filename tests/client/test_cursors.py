from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_client import CursorFile, Cursors, MemoryCursors

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


KEPT = Cursors({"b": 2, "a": 1}, complete=True)


async def test_memory_keeps_what_was_saved_last() -> None:
    store = MemoryCursors()
    assert await store.load() is None
    await store.save(KEPT)
    assert await store.load() == KEPT


@pytest.mark.parametrize("fsync", [False, True])
async def test_a_file_keeps_what_was_saved_last_in_its_order(tmp_path: Path, fsync: bool) -> None:
    path = tmp_path / "cursors.json"
    assert await CursorFile(path).load() is None
    await CursorFile(path, fsync=fsync).save(Cursors({}))
    await CursorFile(path, fsync=fsync).save(KEPT)
    loaded = await CursorFile(path).load()
    assert loaded == KEPT
    assert list(loaded.positions) == ["b", "a"]
    assert names(tmp_path) == [path.name]


async def test_a_file_that_holds_something_else_is_not_taken_for_cursors(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="is no cursor file"):
        await CursorFile(path).load()


async def test_a_save_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(OSError, match=r"directory|exists"):
        await CursorFile(path).save(KEPT)
    assert names(tmp_path) == [path.name]
