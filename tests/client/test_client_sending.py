from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_client import (
    ClientClosed,
    SendRefused,
    TextBody,
)
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, conversation_id
from tests.client.network import messages

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.client.model import ModelServer
    from tests.client.network import Connect, Network


async def test_a_message_is_committed_when_send_returns(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        sent = await client.send(CONV, "hello")

        assert (sent.seq, sent.dup) == (1, False)
        assert server.logs[CONV].events[0].body == TextBody("hello")
        assert client.user == ME


async def test_edits_and_deletions_are_committed_when_they_return_and_are_events(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    async with connect() as client:
        stream = client.events()
        await client.send(CONV, "hello")
        edited = await client.edit(CONV, 1, "hello again")
        deleted = await client.delete(CONV, 1)
        assert (edited.seq, deleted.seq) == (2, 3)
        seen: list[f.Msg] = []
        while len(seen) < 3:
            event = await anext(stream)
            if isinstance(event, f.Msg):
                seen.append(event)
    _, edit, deletion = seen
    assert (edit.kind, edit.target, edit.body) == ("edit", 1, TextBody("hello again"))
    assert (deletion.kind, deletion.target, deletion.body) == ("delete", 1, None)
    assert [event.kind for event in server.logs[CONV].events] == ["message", "edit", "delete"]


async def test_a_reaction_is_committed_when_it_returns_and_is_an_event(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    seen: list[f.Msg] = []
    id_ = conversation_id(77)
    async with connect() as client:
        stream = client.events()
        await client.send(CONV, "hello")
        put = await client.react(CONV, 1, "👍", id=id_)
        back = await client.react(CONV, 1, "👍", on=False)
        assert (put.id, put.seq, back.seq) == (id_, 2, 3)
        while len(seen) < 3:
            event = await anext(stream)
            if isinstance(event, f.Msg):
                seen.append(event)
        with pytest.raises(SendRefused) as refused:
            await client.react(CONV, 1, "")
    assert refused.value.field == "emoji"
    assert seen == server.logs[CONV].events
    assert [(event.kind, event.target, event.body, event.meta) for event in seen[1:]] == [
        ("react", 1, None, {"emoji": "👍", "on": on}) for on in (True, False)
    ]


async def test_a_message_whose_answer_got_lost_is_sent_again_and_stored_once(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client, trio.open_nursery() as nursery:
        network.mute = True
        nursery.start_soon(client.send, CONV, "hello")
        await wait_all_tasks_blocked()
        network.mute = False
        network.session.out.clear()
        network.session.end(3001)
        await messages(client.events(), 1)

    assert len(network.sent(f.Send)) == 2
    assert len(server.logs[CONV].events) == 1


async def test_a_message_without_an_answer_is_sent_again_on_the_same_connection(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client, trio.open_nursery() as nursery:
        network.deaf = True
        nursery.start_soon(client.send, CONV, "hello")
        await trio.sleep(9.9)
        network.deaf = False

    assert len(network.sent(f.Send)) == 1
    assert len(network.attempts) == 1
    assert trio.current_time() == pytest.approx(10, abs=0.1)


async def test_a_message_refused_for_a_time_is_sent_again_when_the_server_said(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    server.refusals.append(f.Error("RATE_LIMITED", "", temporary=True, retry_after_ms=4000))
    async with connect() as client:
        sent = await client.send(CONV, "hello")

    assert sent.seq == 1
    assert trio.current_time() == pytest.approx(4)


async def test_later_messages_of_a_conversation_wait_for_one_that_was_refused_for_a_time(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    server.create(conversation_id(1))
    async with connect(pipeline=8) as client:
        server.refusals.append(f.Error("UNAVAILABLE", "", temporary=True, retry_after_ms=1000))
        first = client.send_nowait(CONV, "first")
        await wait_all_tasks_blocked()
        second = client.send_nowait(CONV, "second")
        other = client.send_nowait(conversation_id(1), "elsewhere")

        await other.wait()
        assert trio.current_time() == 0
        await second.wait()
        assert first.outcome is not None

    assert [event.body for event in server.logs[CONV].events] == [
        TextBody("first"),
        TextBody("second"),
    ]


async def test_a_rate_limit_holds_back_all_conversations(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    server.create(conversation_id(1))
    async with connect() as client:
        server.refusals.append(f.Error("RATE_LIMITED", "", temporary=True, retry_after_ms=1000))
        client.send_nowait(CONV, "first")
        await wait_all_tasks_blocked()
        await client.send(conversation_id(1), "elsewhere")

    assert trio.current_time() == pytest.approx(1)


async def test_a_permanent_refusal_ends_a_send(connect: Connect, autojump_clock: MockClock) -> None:
    async with connect() as client:
        with pytest.raises(SendRefused) as caught:
            await client.send(conversation_id(9), "hello")

        assert caught.value.code == "NOT_FOUND"
        assert client.statistics().outbox == 0


@pytest.mark.parametrize(
    ("conversation", "text", "code", "field"),
    [
        ("no id", "hello", "INVALID_PAYLOAD", "conv"),
        (CONV, "", "INVALID_PAYLOAD", "body.text"),
        (CONV, "x" * 70_000, "TOO_LARGE", None),
    ],
)
async def test_what_would_end_the_connection_is_refused_before_it_is_sent(
    connect: Connect,
    autojump_clock: MockClock,
    network: Network,
    conversation: str,
    text: str,
    code: str,
    field: str | None,
) -> None:
    async with connect() as client:
        with pytest.raises(SendRefused) as caught:
            await client.send(conversation, text)

    assert (caught.value.code, caught.value.field) == (code, field)
    assert not network.sent(f.Send)


async def test_a_full_outbox_makes_send_wait(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect(outbox=1) as client, trio.open_nursery() as nursery:
        network.deaf = True
        client.send_nowait(CONV, "first")
        nursery.start_soon(client.send, CONV, "second")
        await wait_all_tasks_blocked()

        assert client.statistics().outbox == 1
        with pytest.raises(trio.WouldBlock):
            client.send_nowait(CONV, "third")
        network.deaf = False

    assert len(network.server.logs[CONV].events) == 2


async def test_a_send_that_is_cancelled_before_it_was_on_the_wire_is_withdrawn(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        network.deaf = True
        first = client.send_nowait(CONV, "first")
        with trio.move_on_after(1):
            await client.send(CONV, "behind it")
        assert client.statistics().outbox == 1
        network.deaf = False
        await first.wait()

    assert [event.body for event in server.logs[CONV].events] == [TextBody("first")]


async def test_a_message_that_is_cancelled_on_the_wire_is_still_delivered(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        network.deaf = True
        with trio.move_on_after(1):
            await client.send(CONV, "hello")
        assert client.statistics().outbox == 1
        network.deaf = False

        assert await messages(client.events(), 1) == ["hello"]
        assert client.statistics().outbox == 0


async def test_a_message_that_never_was_on_the_wire_can_be_withdrawn(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        network.deaf = True
        first = client.send_nowait(CONV, "first")
        second = client.send_nowait(CONV, "second")
        assert second.withdraw()
        assert not first.withdraw()
        network.deaf = False
        await first.wait()

    assert len(server.logs[CONV].events) == 1
    assert isinstance(second.outcome, ClientClosed)


async def test_an_id_that_is_on_its_way_is_not_taken_twice(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        network.deaf = True
        client.send_nowait(CONV, "first", id=conversation_id(7))
        with pytest.raises(ValueError, match="being sent already"):
            client.send_nowait(CONV, "first", id=conversation_id(7))
        assert client.statistics().outbox == 1


async def test_what_waits_for_an_answer_fails_when_the_client_is_closed(
    connect: Connect, autojump_clock: MockClock
) -> None:
    async with connect() as client:
        client._engine.outbox._paused_until = 1e9
        outgoing = client.send_nowait(CONV, "hello")

    with pytest.raises(ClientClosed):
        await outgoing.wait()
    with pytest.raises(ClientClosed):
        await client.send(CONV, "too late")
