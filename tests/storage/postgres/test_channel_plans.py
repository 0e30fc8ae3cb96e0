"""What is asked of channels again and again costs what it finds, whatever lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.postgres import channel_accounts, contacts, deliveries
from chat4all_storage.postgres.connections import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOLD = ["telegram", ["sending", "unknown", "sent"], "failed", None]
SAYS: dict[str, tuple[str, list[Any]]] = {
    "deliveries_open": (deliveries._DUE, ["telegram", 10]),
    "deliveries_by_message": (deliveries._RAISE_BY_MESSAGE, [*TOLD, "m1", None]),
    "deliveries_at_rest": (deliveries._TRIM, [60.0, 10]),
    "channel_messages_of_event": (deliveries._MESSAGES_OF, [new_id(), 1]),
    "channel_inbox_pending": (channel_accounts._PENDING, ["telegram", 10, 0]),
    "channel_inbox_by_age": (channel_accounts._TRIM, [60.0, 10]),
    "contact_aliases_pkey": (contacts._BY_ID, ["telegram", ["7"]]),
    "channel_links_verified": (contacts._LINKED, ["telegram", "7"]),
}


@pytest.fixture
async def directory(database: str) -> AsyncIterator[Database]:
    async with open_bridge() as bridge:
        directory = Database(bridge, database)
        yield directory
        await directory.close()


@pytest.mark.parametrize("index", SAYS)
async def test_what_is_asked_is_found_by_an_index(directory: Database, index: str) -> None:
    statement, arguments = SAYS[index]
    rows = await directory.read(lambda c: c.fetch(f"EXPLAIN {statement}", *arguments))
    lines = [row[0] for row in rows]
    assert any(f"using {index}" in line for line in lines), lines
    assert not any("Seq Scan" in line for line in lines), lines
