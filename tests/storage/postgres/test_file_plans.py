"""What the sweeper asks costs what it finds: each question has an index that holds nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.postgres import file_sweeping, files
from chat4all_storage.postgres.connections import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SAYS: dict[str, tuple[str, list[Any]]] = {
    "files_by_expiry": (file_sweeping._EXPIRE, [10]),
    "files_in_check": (files._LAPSED, [10]),
    "files_unscanned": (files._UNSCANNED, [0, 10]),
    "files_in_quarantine": (files._QUARANTINED, [new_id(), 10]),
    "files_by_look": (file_sweeping._CLAIM_UNLOOKED, [10, 60.0]),
    "files_to_remove": (file_sweeping._CLAIM_REMOVALS, [10, 60.0]),
    "files_to_forget": (file_sweeping._FORGET_REJECTED, [60.0, 10]),
    "files_of_owner": (files._OF, ["ann", new_id(), 10]),
}


@pytest.fixture
async def directory(database: str) -> AsyncIterator[Database]:
    async with open_bridge() as bridge:
        directory = Database(bridge, database)
        yield directory
        await directory.close()


@pytest.mark.parametrize("index", SAYS)
async def test_what_is_due_is_found_by_an_index_with_its_bound(
    directory: Database, index: str
) -> None:
    statement, arguments = SAYS[index]
    rows = await directory.read(lambda c: c.fetch(f"EXPLAIN {statement}", *arguments))
    lines = [row[0] for row in rows]
    (place,) = [number for number, line in enumerate(lines) if f"using {index}" in line]
    assert "Index Cond" in lines[place + 1]
