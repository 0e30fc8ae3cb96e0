"""Where everything is, as operators are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_storage.moving.status import shard_status
from chat4all_storage.storage import open_postgres
from tests.storage.builders import (
    conversation_of,
    new_conversation,
)
from tests.storage.moving.two_databases import (
    SHARD,
    Two,
    filled,
)
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from chat4all_storage.bridge import Bridge


async def test_the_status_tells_what_is_where(bridge: Bridge, two: Two) -> None:
    async with open_postgres(bridge, two.dsns) as storage:
        await filled(storage)
        await new_conversation(storage.shards.all[1], "ann", id=conversation_of(SHARD + 1))
        await trio.to_thread.run_sync(
            execute, two.dsns[0], "INSERT INTO shard_fences VALUES (5, 'moved'), (6, 'copying')"
        )
        status = await shard_status(bridge, [two.dsns[0], two.dsns[1].replace("test_", "gone_")])
    known = {shard.shard: shard for shard in status.shards}
    assert (known[SHARD].state, known[SHARD].conversations, known[SHARD].events) == (
        "serving",
        3,
        3,
    )
    assert (known[6].state, known[6].conversations) == ("copying", 1)
    assert known[5].database == two.names[1]
    assert (known[5].state, known[5].conversations) == (None, None)
    assert [database.error is None for database in status.databases] == [True, False]
