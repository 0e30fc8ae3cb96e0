from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import chat4all_client
from chat4all_client import (
    OutcomeUnknown,
    RequestRefused,
)
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, OTHER, conversation_id
from tests.client.network import messages

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.client.model import ModelServer
    from tests.client.network import Connect, Network


def test_everything_that_is_exported_exists() -> None:
    assert sorted(chat4all_client.__all__) == chat4all_client.__all__
    for name in chat4all_client.__all__:
        assert hasattr(chat4all_client, name)


async def test_history_is_read_backwards_and_forwards(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    for number in range(1, 251):
        server.say(CONV, str(number))
    async with connect() as client:
        assert [event.seq for event in await client.history(CONV, limit=3)] == [248, 249, 250]
        last = await client.history(CONV, before=248, limit=200)
        assert [event.seq for event in last] == list(range(48, 248))
        first = await client.history(CONV, after=0, limit=500)
        assert [event.seq for event in first] == list(range(1, 251))
        with pytest.raises(RequestRefused) as caught:
            await client.history(conversation_id(9))
        assert caught.value.code == "NOT_FOUND"


async def test_requests_survive_a_reconnect(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        network.deaf = True
        network.server.say(CONV, "hello")

        async def restore() -> None:
            await wait_all_tasks_blocked()
            network.deaf = False
            network.session.end(3001)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(restore)
            assert len(await client.history(CONV)) == 1
        assert (await client.info(CONV)).members == [ME, OTHER]


async def test_a_group_is_not_created_twice_when_the_answer_gets_lost(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        conv = await client.create("group", [OTHER], title="Trip")
        assert client.conversations[conv.conv].members == (ME, OTHER)
        network.deaf = True
        with pytest.raises(OutcomeUnknown):
            await client.create("group", [OTHER])


async def test_marks_are_coalesced_and_repeated_after_a_reconnect(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    for _ in range(9):
        server.say(CONV, "hello")
    async with connect() as client:
        for seq in range(1, 9):
            client.mark_read(CONV, seq)
        await trio.sleep(5)
        assert [mark.seq for mark in server.marks[CONV]] == [1, 8]
        server.marks.clear()
        network.session.end(3001)
        await trio.sleep(5)
        assert server.marks[CONV] == [f.Read(CONV, 8)]


async def test_handled_events_of_others_are_acknowledged(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        server.say(CONV, "hello")
        await messages(client.events(), 1)
        client.settle()
    assert server.marks[CONV] == [f.Recv(CONV, 1)]


async def test_marks_that_wait_are_told_before_the_client_closes(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        client.mark_read(CONV, 1)
        client.mark_read(CONV, 2)
    assert server.marks[CONV][-1] == f.Read(CONV, 2)


async def test_typing_is_told_every_three_seconds_at_most(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        for _ in range(10):
            client.typing(CONV)
            await trio.sleep(0.5)
    assert len(network.sent(f.Typing)) == 2


async def test_conversations_show_what_is_unread(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        server.say(CONV, "one")
        server.say(CONV, "two")
        await client.send(CONV, "mine")
        await messages(client.events(), 3)
        conversation = client.conversations[CONV]
        assert (conversation.head, conversation.unread, conversation.name) == (3, 2, OTHER)
        client.mark_read(CONV, 3)
        assert client.conversations[CONV].unread == 0


async def test_a_mode_is_told_and_the_background_holds_over_reconnects(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    def told() -> list[f.AnyClientFrame]:
        return [it for it in network.server.received if isinstance(it, f.Mode | f.Connect)]

    async with connect() as client:
        await client.set_mode(background=True, invisible=True)
        mode = told()[-1]
        assert isinstance(mode, f.Mode)
        assert (mode.background, mode.invisible) == (True, True)
        await client.set_mode(invisible=False)
        network.session.end(3001)
        await trio.sleep(5)
        again = told()[-1]
        assert isinstance(again, f.Connect)
        assert again.background
