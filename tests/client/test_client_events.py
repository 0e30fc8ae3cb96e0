from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_client import (
    Connected,
    Disconnected,
    MemoryCursors,
)
from chat4all_client.cursors import Cursors
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, OTHER, conversation_id
from tests.client.network import messages

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.client.model import ModelServer
    from tests.client.network import Connect, Network


async def test_events_come_in_order_with_the_own_ones_in_their_place(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        server.say(CONV, "one")
        await client.send(CONV, "two")
        server.say(CONV, "three")

        assert await messages(client.events(), 3) == ["one", "two", "three"]


async def test_nothing_is_missing_or_doubled_over_reconnects(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        events = client.events()
        expected = []
        for number in range(5):
            server.say(CONV, f"live {number}")
            network.session.end(3004)
            server.say(CONV, f"away {number}")
            expected += [f"live {number}", f"away {number}"]
            assert await messages(events, 2) == expected[-2:]

    assert client.statistics().connects == 6


async def test_a_long_absence_is_fetched_page_by_page(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        network.session.end(3004)
        for number in range(350):
            server.say(CONV, str(number))

        assert await messages(client.events(), 350) == [str(number) for number in range(350)]

    assert [fetch.after for fetch in network.sent(f.Fetch)] == [0, 100, 200, 300]


async def test_events_that_come_behind_a_gap_are_held_back_until_it_is_filled(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    server.create(conversation_id(1))
    async with connect() as client:
        server.lossy = True
        server.say(CONV, "missed")
        server.lossy = False
        server.say(CONV, "live")
        server.say(conversation_id(1), "elsewhere")

        assert await messages(client.events(), 3) == ["elsewhere", "missed", "live"]


async def test_an_application_that_does_not_read_stops_nothing_and_misses_nothing(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect(event_buffer=100) as client:
        for number in range(400):
            server.say(CONV, str(number))
        await wait_all_tasks_blocked()
        await client.send(CONV, "400")
        assert client.statistics().events <= 101

        assert await messages(client.events(), 401) == [str(number) for number in range(401)]


async def test_the_application_learns_that_the_connection_comes_and_goes(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        network.failures = [OSError(111, "Connection refused")]
        network.session.end(3004, "internal")
        events = client.events()

        assert await anext(events) == Connected(ME, "model")
        assert await anext(events) == Disconnected("internal", 3004, 0.25)
        assert await anext(events) == Disconnected("Connection refused", None, 0.5)
        assert await anext(events) == Connected(ME, "model")
        assert client.connected


async def test_only_one_task_reads_the_events(connect: Connect, autojump_clock: MockClock) -> None:
    async with connect() as client, trio.open_nursery() as nursery:
        events = client.events()
        await anext(events)
        nursery.start_soon(anext, events)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(client.events())
        nursery.cancel_scope.cancel()


async def test_receipts_typing_presence_and_the_state_of_files_are_passed_on(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    passing: list[f.ServerFrame] = [
        f.Receipt(CONV, OTHER, 1, 1),
        f.Composing(CONV, OTHER, "text", 6000),
        f.Presence(OTHER, "online"),
        f.FileProgress(CONV, "ready", 10, 10, "plan.pdf", "application/pdf"),
    ]
    async with connect() as client:
        events = client.events()
        await anext(events)
        for frame in passing:
            network.session.send(frame)

        assert [await anext(events) for _ in passing] == passing


async def test_a_restart_goes_on_after_the_last_event_that_was_handled(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    cursors = MemoryCursors()
    server.say(CONV, "before the first start")
    async with connect(cursors=cursors) as client:
        for text in ("one", "two", "three"):
            server.say(CONV, text)
        assert await messages(client.events(), 2) == ["one", "two"]
    async with connect(cursors=cursors) as client:
        # "two" was given out, but the next was never asked for.
        assert await messages(client.events(), 2) == ["two", "three"]
        client.settle()
    async with connect(cursors=cursors) as client:
        server.say(CONV, "four")
        assert await messages(client.events(), 1) == ["four"]


async def test_cursors_are_saved_while_the_client_runs_and_not_at_each_event(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    saved: list[Cursors] = []

    class Watched(MemoryCursors):
        async def save(self, cursors: Cursors) -> None:
            saved.append(cursors)

    async with connect(cursors=Watched(), save_interval=5) as client:
        for number in range(100):
            server.say(CONV, str(number))
        await messages(client.events(), 100)
        await trio.sleep(60)
        assert [cursors.positions for cursors in saved] == [{CONV: 99}]
        client.settle()
    assert saved[-1].positions == {CONV: 100}


async def test_conversations_beyond_the_cursors_of_a_connect_are_caught_up_too(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    positions = {conversation_id(number): 0 for number in range(1, 1200)}
    cursors = MemoryCursors()
    await cursors.save(Cursors(positions, complete=True))
    for id_ in positions:
        server.create(id_)
    server.say(conversation_id(1), "the oldest")
    server.say(conversation_id(1199), "the latest")
    async with connect(cursors=cursors) as client:
        assert sorted(await messages(client.events(), 2)) == ["the latest", "the oldest"]

    (sent,) = network.sent(f.Connect)
    assert len(sent.cursors) == 1000
    assert conversation_id(1199) in sent.cursors
    assert conversation_id(1) not in sent.cursors


async def test_a_conversation_opened_while_the_client_was_away_is_delivered_whole(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        network.session.end(3004)
        server.create(conversation_id(1))
        for number in range(150):
            server.say(conversation_id(1), str(number))

        assert await messages(client.events(), 150) == [str(number) for number in range(150)]


async def test_a_server_that_lost_history_is_followed_from_where_it_stands(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    cursors = MemoryCursors()
    await cursors.save(Cursors({CONV: 50}, complete=True))
    server.say(CONV, "one")
    async with connect(cursors=cursors) as client:
        await wait_all_tasks_blocked()
        server.say(CONV, "two")
        assert await messages(client.events(), 1) == ["two"]
