"""What leaves through channels: with several routers at work, and nodes of the version before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.deliveries import NewDelivery
from chat4all_storage.postgres.channels import postgres_channels
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, commit, new_conversation
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.channels import ChannelStores
    from chat4all_storage.ports.shard import ShardStore

PERSON = "telegram:7"
EACH = 30
AT_ONCE = 5


@pytest.fixture
async def nodes(
    bridge: Bridge, database: str
) -> AsyncIterator[list[tuple[ShardStore, ChannelStores]]]:
    """The same database as three nodes have it."""
    shards = [PostgresShard(bridge, database, f"node-{number}") for number in range(3)]
    databases = [Database(bridge, database) for _ in shards]
    yield [(shard, postgres_channels(each)) for shard, each in zip(shards, databases, strict=True)]
    for shard, each in zip(shards, databases, strict=True):
        await shard.close()
        await each.close()


async def test_routers_at_once_keep_the_order_and_note_each_event_once(
    nodes: list[tuple[ShardStore, ChannelStores]],
) -> None:
    conversations = [await new_conversation(nodes[0][0], "ann", PERSON) for _ in range(4)]
    written = 0

    async def write(store: ShardStore, conversation: str) -> None:
        nonlocal written
        for _ in range(EACH):
            await commit(store, append(conversation, "ann"))
            written += 1

    async def route(store: ShardStore, channels: ChannelStores) -> None:
        while True:
            rows = await store.leaving(AT_ONCE)
            if not rows and written == EACH * len(conversations):
                return
            deliveries = [
                NewDelivery(
                    account="telegram",
                    chat="7",
                    address=PERSON,
                    conversation=row.conversation,
                    seq=row.seq,
                    kind=row.kind,
                )
                for row in rows
            ]
            await channels.deliveries.add(deliveries)
            await store.routed([row.id for row in rows])

    async with trio.open_nursery() as nursery:
        for number, conversation in enumerate(conversations):
            nursery.start_soon(write, nodes[number % len(nodes)][0], conversation)
        for node in nodes:
            nursery.start_soon(route, *node)
    noted = await nodes[0][1].deliveries.listed(["queued"], account=None, after=0, limit=10_000)
    for conversation in conversations:
        seqs = [each.seq for each in noted if each.conversation == conversation]
        assert seqs == list(range(1, EACH + 1))


async def test_what_a_node_of_the_version_before_commits_leaves_too(
    nodes: list[tuple[ShardStore, ChannelStores]], database: str
) -> None:
    store = nodes[0][0]
    conversation = await new_conversation(store, "ann", PERSON)
    await trio.to_thread.run_sync(
        fetch,
        database,
        """SELECT * FROM commit_batch(ARRAY[$1::uuid], ARRAY['ann'], ARRAY[$2::uuid],
                ARRAY[0::smallint], ARRAY[1::bigint], ARRAY[NULL::bigint], ARRAY[NULL::bigint],
                ARRAY['\\xc0'::bytea], ARRAY[NULL::bytea], ARRAY[NULL::text], ARRAY[NULL::text],
                ARRAY[NULL::bytea], '{}'::bigint[], '{}'::integer[], '{}'::text[],
                '{}'::bytea[], '{}'::bigint[], 1000, 0::bigint, 0::bigint,
                '{}'::uuid[], '{}'::text[], '{}'::bigint[], '{}'::bigint[], 'old')""",
        conversation,
        new_id(),
    )
    assert [row.seq for row in await store.leaving(10)] == [1]
