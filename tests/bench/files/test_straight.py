"""Files that go straight to a directory, beside those of a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chat4all_bench.files.content import Content
from chat4all_bench.files.store import straight_to
from chat4all_bench.files.straight import StraightDirectory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CHUNK = 1000


def test_a_file_is_written_in_parts_read_back_and_forgotten(tmp_path: Path) -> None:
    store, content = StraightDirectory(tmp_path, parts_at_once=3), Content(1, 10 * CHUNK + 1)
    store.put("a", content, CHUNK)
    store.forget_cached()
    assert store.get("a") == (content.digest(), content.size)
    store.remove("a")
    assert not list((tmp_path / "straight").iterdir())
    store.close()
    assert not list(tmp_path.iterdir())


def test_each_part_is_on_the_disk_before_the_next_thread_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    StraightDirectory(tmp_path, parts_at_once=2).put("a", Content(1, 4 * CHUNK), CHUNK)
    assert len(synced) == 4


def test_without_a_bucket_the_store_is_the_data_directory(tmp_path: Path) -> None:
    store = straight_to(["--data-dir", str(tmp_path)], "--workers 2", parts_at_once=1)
    assert isinstance(store, StraightDirectory)
    assert (tmp_path / "straight").is_dir()
