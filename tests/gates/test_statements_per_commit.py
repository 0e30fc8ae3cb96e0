"""The database: one statement for a flush, whatever is in it, and no thread beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_storage.log.shard_log import ShardLog
from chat4all_storage.ports.events import Mark
from chat4all_storage.postgres.libpq import LibpqConnection
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, new_conversation
from tests.storage.scripted_store import Inbox, answer_to, submit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.log.entries import Answer, Entry

pytestmark = pytest.mark.xdist_group("gates")

MEMBERS: Final = [f"member_{number}" for number in range(50)]
CONVERSATIONS: Final = 5
MESSAGES: Final = 300
"""In one flush."""


class Place:
    """A log over PostgreSQL, with all that its connection has been asked."""

    def __init__(self, bridge: Bridge, store: PostgresShard, statements: list[bytes]) -> None:
        self.log = ShardLog(store)
        self.store = store
        self._bridge = bridge
        self._statements = statements

    def asked(self) -> tuple[int, int, int]:
        """Flushes, statements and crossings of the bridge so far."""
        crossings = self._bridge.statistics().calls
        return self.log.statistics().commits, len(self._statements), crossings


class Counted(Inbox):
    """Knows how many answers are to come."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.full = trio.Event()
        self._count = count

    def receive(self, answers: list[tuple[Entry[Any], Answer]]) -> None:
        super().receive(answers)
        if len(self.answers) == self._count:
            self.full.set()


@pytest.fixture
async def place(
    bridge: Bridge, database: str, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    statements: list[bytes] = []
    execute = LibpqConnection.execute

    async def watched(self: LibpqConnection, name: bytes, values: Sequence[bytes]) -> bytes:
        statements.append(name)
        return await execute(self, name, values)

    monkeypatch.setattr(LibpqConnection, "execute", watched)
    store = PostgresShard(bridge, database, "shard")
    place = Place(bridge, store, statements)
    await nursery.start(place.log.run)
    yield place
    await store.close()


async def test_a_flush_is_one_statement_and_crosses_no_bridge(place: Place) -> None:
    conversations = [await new_conversation(place.store, *MEMBERS) for _ in range(CONVERSATIONS)]
    # The first time a connection is opened.
    await answer_to(place.log, append(conversations[0], MEMBERS[0]))
    inbox = Counted(MESSAGES + 1)
    before = place.asked()
    submit(place.log, inbox, append(conversations[0], MEMBERS[0]))
    await wait_all_tasks_blocked()  # under way: what comes now shares the next one
    for number in range(MESSAGES):
        sender = MEMBERS[number % len(MEMBERS)]
        submit(place.log, inbox, append(conversations[number % CONVERSATIONS], sender))
    for member in MEMBERS:
        place.log.mark_nowait(Mark(conversations[0], member, 1, 1), lambda _: None)
    await inbox.full.wait()
    flushes, statements, crossings = (
        now - then for now, then in zip(place.asked(), before, strict=True)
    )
    assert (flushes, statements, crossings) == (2, 2, 0)
