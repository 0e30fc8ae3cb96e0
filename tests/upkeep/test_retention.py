from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.conversation import appends
from chat4all_actors.upkeep.retention import AT_ONCE, Retention
from chat4all_protocol.frames import Conv, Create, Fetch, Page, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.upkeep import Expired

from ..actors.harness import person, running_node
from ..conversation.test_posts import Inbox

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


async def test_messages_are_emptied_when_their_time_is_over(autojump_clock: MockClock) -> None:
    async with running_node(retention_interval=10, heartbeat=3600) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="group", members=[]))
        conv = ana.outlet.of(Conv)[0].conv
        append = appends.change(conv, "ana", new_id(), retention=60)
        await node.conversations.post(append, Inbox())
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        await trio.sleep(55)
        await ana.say(Fetch(rid=3, conv=conv))
        await trio.sleep(20)
        await ana.say(Fetch(rid=4, conv=conv))
        before, after = ana.outlet.of(Page)
        assert [item.body for item in before.items] == [None, TextBody("hi")]
        assert [(item.body, item.deleted) for item in after.items] == [(None, False), (None, True)]


class Busy(MemoryShard):
    """A database with more to do than a round takes, which fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = [Expired(5, more=True), Expired(2, more=True), Expired(0, more=False), None]
        self.asked: list[float] = []

    async def expire(self, limit: int, *, now: int | None = None) -> Expired:
        assert (limit, now) == (AT_ONCE, None)
        self.asked.append(trio.current_time())
        answer = self.answers.pop(0) if self.answers else Expired(0, more=False)
        if answer is None:
            raise Unavailable("gone")
        return answer


async def test_there_are_rounds_until_nothing_is_left_and_a_failure_waits_for_the_next_time(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    store = Busy()
    retention = Retention(store, 10)
    await nursery.start(retention.run)
    await trio.sleep(35)
    assert [round(at) for at in store.asked] == [10, 10, 10, 20, 30]
    assert ["can't be emptied" in record.message for record in caplog.records] == [True]
