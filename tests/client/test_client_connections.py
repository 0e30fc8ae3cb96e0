from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import (
    Connected,
    ConnectError,
    ConnectionRefusedByServer,
    Msg,
)
from chat4all_client.transport import TransportRefused
from chat4all_protocol import frames as f
from tests.client.model import CONV
from tests.client.network import messages

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.client.model import ModelServer
    from tests.client.network import Connect, Network


async def test_waiting_times_grow_with_each_failure(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    network.failures = [OSError("down") for _ in range(9)]
    async with connect(connect_timeout=1000):
        pass
    waits = [later - at for at, later in zip(network.attempts, network.attempts[1:], strict=False)]
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


async def test_no_first_connection_is_an_error_that_says_why(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    network.failures = [OSError(111, "Connection refused")] * 100
    with pytest.raises(ConnectError, match="within 5 s: Connection refused"):
        async with connect(connect_timeout=5):
            pytest.fail("there is no connection")


@pytest.mark.parametrize("code", [1009, 3500, 3503, 3504, 3507])
async def test_a_terminal_close_ends_events_and_sends(
    connect: Connect, autojump_clock: MockClock, network: Network, code: int
) -> None:
    async with connect() as client:
        network.deaf = True
        outgoing = client.send_nowait(CONV, "hello")
        network.session.end(code, "enough")
        with pytest.raises(ConnectionRefusedByServer) as caught:
            await messages(client.events(), 1)
        assert (caught.value.code, caught.value.reason) == (code, "enough")
        with pytest.raises(ConnectionRefusedByServer):
            await outgoing.wait()
        with pytest.raises(ConnectionRefusedByServer):
            await client.send(CONV, "again")
    assert len(network.attempts) == 1


async def test_a_refused_handshake_is_final_or_waits_as_long_as_it_says(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    network.failures = [TransportRefused(503, "draining", retry_after=7.0)]
    async with connect():
        assert network.attempts == [0, 7]
    network.failures = [TransportRefused(403, "origin")]
    with pytest.raises(ConnectionRefusedByServer, match="origin"):
        async with connect():
            pytest.fail("there is no connection")


async def test_an_overloaded_server_is_left_alone_for_as_long_as_it_says(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    server.overloaded = [7_000, 100]
    async with connect() as client:
        # The second wait is that of any second failure: the server asked for less.
        assert network.attempts == [0, 7, 7.5]
        # What it asked for once says nothing about later failures.
        network.session.end(1006)
        await trio.sleep(0.3)
        assert client.connected
        assert network.attempts[3:] == [7.75]


async def test_a_silent_connection_is_asked_and_then_replaced(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    async with connect() as client:
        await trio.sleep(100)
        assert len(network.attempts) == 1
        assert len(network.sent(f.Ping)) == 3
        network.mute = True
        await trio.sleep(50)
        network.mute = False
        await trio.sleep(50)
        assert len(network.attempts) > 1
        assert client.connected


@pytest.mark.parametrize("after_ms", [0, 300, 20_000, 60_000])
async def test_a_draining_server_is_left_at_the_time_it_said(
    connect: Connect, autojump_clock: MockClock, network: Network, after_ms: int
) -> None:
    async with connect():
        await trio.sleep(1)
        network.session.send(f.Reconnect(after_ms=after_ms))
        await trio.sleep(after_ms / 1000 + 1)
        assert network.attempts == [0, 1 + after_ms / 1000]


async def test_a_draining_server_is_left_when_the_new_connection_stands(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        events = client.events()
        await anext(events)
        old = network.session
        old.send(f.Reconnect(after_ms=3000))
        server.say(CONV, "before")
        await trio.sleep(2.9)
        assert len(network.attempts) == 1
        network.deaf = True
        outgoing = client.send_nowait(CONV, "on the old one")
        await trio.sleep(0.05)
        network.deaf = False
        await outgoing.wait()
        server.say(CONV, "after")

        seen = [await anext(events) for _ in range(4)]
        assert [type(event) for event in seen] == [Msg, Connected, Msg, Msg]
        assert network.attempts == [0, 3]
        assert old.closed is not None
        assert network.session is not old


async def test_a_token_is_asked_for_at_each_connect(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    server.tokens = {"t1", "t3"}
    count = 0

    async def token() -> str:
        nonlocal count
        count += 1
        return f"t{count}"

    async with connect(token=token):
        network.session.end(3005, "the token has expired")
        await trio.sleep(10)
    assert [sent.token for sent in network.sent(f.Connect)] == ["t1", "t2", "t3"]


async def test_a_fixed_token_that_has_expired_is_final(
    connect: Connect, autojump_clock: MockClock, server: ModelServer
) -> None:
    server.tokens = set()
    with pytest.raises(ConnectionRefusedByServer) as caught:
        async with connect():
            pytest.fail("there is no connection")
    assert (caught.value.code, caught.value.reason) == (3005, "the token has expired")


async def test_a_token_that_can_not_be_had_counts_as_a_failed_attempt(
    connect: Connect, autojump_clock: MockClock, network: Network
) -> None:
    failures = [OSError("no token today")]

    async def token() -> str:
        if failures:
            raise failures.pop()
        return "t"

    async with connect(token=token):
        assert trio.current_time() == 0.25


async def test_a_server_that_breaks_the_protocol_is_left_and_resumed(
    connect: Connect, autojump_clock: MockClock, network: Network, server: ModelServer
) -> None:
    async with connect() as client:
        for number in range(3):
            server.say(CONV, str(number))
        del network.session.out[0]
        assert await messages(client.events(), 3) == ["0", "1", "2"]
        assert client.statistics().connects == 2


async def test_an_exception_in_the_block_comes_out_as_it_is(
    connect: Connect, autojump_clock: MockClock
) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with connect():
            raise KeyError("mine")


async def test_the_client_can_be_cancelled(connect: Connect, autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        async with connect() as client:
            await messages(client.events(), 1)
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    "settings",
    [
        {"pipeline": 0},
        {"outbox": 0},
        {"event_buffer": 99},
        {"answer_timeout": 0},
        {"save_interval": -1},
    ],
)
async def test_settings_that_can_not_work_are_refused(
    connect: Connect, autojump_clock: MockClock, settings: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match=r"at least|positive"):
        async with connect(**settings):
            pytest.fail("it works")
