from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.events import Outcome
from tests.storage.builders import events, new_conversation
from tests.storage.scripted_store import Inbox, ScriptedStore

if TYPE_CHECKING:
    import trio

    from chat4all_storage.ports.events import Status

PATIENCE = 10.0
DRAIN_TIMEOUT = 5.0


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def idle_log(store: ScriptedStore) -> ShardLog:
    return ShardLog(store, patience=PATIENCE, drain_timeout=DRAIN_TIMEOUT)


@pytest.fixture
async def log(idle_log: ShardLog, nursery: trio.Nursery) -> ShardLog:
    await nursery.start(idle_log.run)
    return idle_log


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def conversation(store: ScriptedStore) -> str:
    return await new_conversation(store, "ann", "bob")


def statuses(inbox: Inbox) -> list[Status | type[Exception]]:
    """What was answered, in short."""
    return [
        answer.status if isinstance(answer, Outcome) else type(answer.error)
        for answer in inbox.answers
    ]


async def bodies(store: ScriptedStore, conversation: str) -> list[bytes | None]:
    return [event.body for event in await events(store, conversation)]
