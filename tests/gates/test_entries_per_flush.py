"""The backbone: one stream entry for each node that members are on, for all that a flush holds."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_protocol.codec import encode
from chat4all_protocol.frames import Conv, Create, Msg, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.bus import MemoryBus
from chat4all_storage.ports.directory import User
from chat4all_storage.storage import memory_storage
from tests.actors.harness import person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = pytest.mark.xdist_group("gates")

NODES: Final = 4
MEMBERS: Final = [f"member_{number}" for number in range(40)]
GROUPS: Final = 3
MESSAGES: Final = 25
SETTLED: Final = 5.0
"""Seconds in which the nodes have told each other who is where."""


async def test_a_flush_is_one_entry_for_each_other_node_that_members_are_on(
    autojump_clock: MockClock,
) -> None:
    storage, bus = memory_storage(), MemoryBus()
    for name in MEMBERS:
        await storage.directory.add_user(User(f"id of {name}", name, b""))
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(storage, bus=bus, max_inflight=MESSAGES))
            for _ in range(NODES)
        ]
        with_members = nodes[:-1]  # nobody is on the last
        people = [
            await person(with_members[number % len(with_members)], name)
            for number, name in enumerate(MEMBERS)
        ]
        speaker = people[0]
        for number in range(GROUPS):
            await speaker.say(Create(rid=number, type="group", members=MEMBERS[1:]))
        convs = [frame.conv for frame in speaker.outlet.of(Conv)]
        await trio.sleep(SETTLED)
        entries, commits = bus.appended, nodes[0].statistics().commits
        for number in range(MESSAGES):
            await speaker.session.receive(encode(text(convs[number % GROUPS], number)))
        await wait_all_tasks_blocked()
        assert all(len(someone.outlet.of(Msg)) == MESSAGES for someone in people[1:])
        flushes = nodes[0].statistics().commits - commits
        assert flushes <= 2  # perhaps of the first message alone, and of what came meanwhile
        assert bus.appended - entries == flushes * (len(with_members) - 1)


def text(conv: str, number: int) -> Send:
    return Send(rid=number, conv=conv, id=new_id(), body=TextBody("hello"))
