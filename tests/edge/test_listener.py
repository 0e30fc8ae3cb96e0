from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.listener import (
    ACCEPT_BATCH,
    EXHAUSTED_PAUSE,
    MAX_ADMIN_CONNECTIONS,
)
from chat4all_actors.edge.patience import STOP_PATIENCE
from chat4all_actors.edge.sockets import open_listeners
from chat4all_actors.kernel import PoolClosed
from tests.edge.house import LIVE, UPGRADE, everything, house

if TYPE_CHECKING:
    import ssl

    from trio.testing import MockClock


# Limits


async def test_beyond_the_connection_limit_clients_are_told_and_closed() -> None:
    async with house(max_connections=2) as here:
        kept = [await here.upgrade() for _ in range(2)]
        answer = await here.ask()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in answer
        assert (here.edge.open, here.edge.refused) == (2, 1)
        await kept[0].aclose()
        await wait_all_tasks_blocked()
        await here.upgrade()
        assert here.edge.refused == 1


async def test_beyond_the_handshake_limit_clients_are_told_and_closed() -> None:
    async with house(max_handshakes=2) as here:
        for _ in range(3):  # those that are through do not count
            await here.upgrade()
        silent = [await here.connect() for _ in range(2)]
        await wait_all_tasks_blocked()
        assert (await here.ask()).startswith(b"HTTP/1.1 503 ")
        assert (here.edge.open, here.edge.refused) == (5, 1)
        for stream in silent:
            await stream.send_all(LIVE)
            assert (await everything(stream)).startswith(b"HTTP/1.1 200 ")
            await stream.aclose()
        await wait_all_tasks_blocked()
        await here.upgrade()


async def test_the_limits_hold_for_clients_that_come_all_at_once() -> None:
    (listener,) = open_listeners("127.0.0.1", 0)
    waiting = [socket.create_connection(listener.getsockname()) for _ in range(ACCEPT_BATCH // 2)]
    async with house(listener=listener, max_handshakes=3) as here:
        await wait_all_tasks_blocked()
        assert (here.edge.open, here.edge.refused) == (3, len(waiting) - 3)
        for client in waiting:
            client.close()


# Running out of descriptors


class Failing(socket.socket):
    """A listener whose accept fails so many times."""

    failures: list[int]

    def accept(self) -> Any:
        if self.failures:
            number = self.failures.pop()
            raise OSError(number, errno.errorcode[number])
        return super().accept()


@pytest.fixture
def failing() -> Failing:
    listener = Failing()
    listener.failures = []
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    return listener


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_when_descriptors_run_out_it_waits_and_goes_on(
    failing: Failing, number: int, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    failing.failures = [number] * 3
    began = trio.current_time()
    async with house(listener=failing) as here:
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
        assert trio.current_time() - began >= 3 * EXHAUSTED_PAUSE
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


async def test_a_client_that_went_away_before_it_was_accepted_stops_nobody(
    failing: Failing,
) -> None:
    failing.failures = [errno.ECONNABORTED, errno.EPROTO]
    async with house(listener=failing) as here:
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")


# TLS


async def test_requests_may_come_through_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = contexts
    async with house(tls=server) as here:
        plain = await here.connect()
        stream = trio.SSLStream(plain, client, server_hostname="localhost", https_compatible=True)
        await stream.send_all(LIVE)
        answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("data", [LIVE, b"\x16\x03\x01\x00\x05hello"])
async def test_who_does_not_speak_tls_is_closed(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes
) -> None:
    async with house(tls=contexts[0]) as here:
        stream = await here.connect(data)
        try:
            answer = await everything(stream)
        except trio.BrokenResourceError:
            answer = b""  # closed with bytes unread, so reset
        assert b"HTTP" not in answer
        await here.edge.wait_empty()


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01"])
async def test_a_tls_handshake_that_takes_too_long_is_closed_without_a_word(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes, autojump_clock: MockClock
) -> None:
    async with house(tls=contexts[0], head_timeout=7) as here:
        began = trio.current_time()
        assert await here.ask(data) == b""
        assert trio.current_time() - began == pytest.approx(7)
        await here.edge.wait_empty()
        assert here.senders.statistics().started == 0


async def test_who_is_refused_hears_nothing_in_the_clear(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with house(tls=contexts[0], max_connections=1) as here:
        await here.connect()
        await wait_all_tasks_blocked()
        assert await here.ask() == b""
        assert here.edge.refused == 1


async def test_those_that_come_too_fast_wait_and_are_told_when_the_wait_is_too_long(
    autojump_clock: MockClock,
) -> None:
    async with house(handshake_rate=10, handshake_burst=2, handshake_patience=0.2) as here:
        answers: list[tuple[float, bytes]] = []

        async def come() -> None:
            stream = await here.connect(UPGRADE)
            answer = await stream.receive_some()
            answers.append((round(trio.current_time() - began, 6), bytes(answer)))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(come)
        let_in = sorted(at for at, answer in answers if answer.startswith(b"HTTP/1.1 101 "))
        assert let_in == [0, 0, 0.1, 0.2]
        refused = [(at, answer) for at, answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert [at for at, _ in refused] == [0, 0]
        assert all(b"Retry-After: 1\r\n" in answer for _, answer in refused)
        assert here.edge.refused == 2
        # Plain requests pass no gate.
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")


async def test_an_address_that_opens_too_many_websockets_is_told_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    async with house(rate_handshakes_per_minute=30, rate_handshakes_burst=2) as here:
        for _ in range(2):
            await here.upgrade()
        answer = await here.ask(UPGRADE)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 2\r\n" in answer
        assert b'"code":"RATE_LIMITED"' in answer
        assert here.edge.refused == 1
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
        await trio.sleep(2)
        await here.upgrade()


async def test_an_address_has_so_many_websockets_open_and_no_more() -> None:
    async with house(max_connections_per_address=2) as here:
        first, _ = [await here.upgrade() for _ in range(2)]
        answer = await here.ask(UPGRADE)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 5\r\n" in answer
        assert here.edge.refused == 1
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
        await first.aclose()
        await wait_all_tasks_blocked()
        await here.upgrade()


async def test_those_that_wait_at_the_gate_do_not_count_as_half_open(
    autojump_clock: MockClock,
) -> None:
    async with house(handshake_rate=1, handshake_burst=1, max_handshakes=1) as here:
        await here.upgrade()
        waiting = await here.connect(UPGRADE)
        await wait_all_tasks_blocked()
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
        assert (await waiting.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_those_that_wait_at_the_gate_when_it_stops_are_told_soon(
    autojump_clock: MockClock,
) -> None:
    async with house(handshake_rate=0.1, handshake_burst=1, handshake_patience=60) as here:
        await here.upgrade()
        waiting = await here.connect(UPGRADE)
        await wait_all_tasks_blocked()
        stopped_at = trio.current_time()
        here.edge.stop_accepting()
        answer = await everything(waiting)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"stopping" in answer
        assert trio.current_time() - stopped_at == STOP_PATIENCE


# The end


async def test_who_comes_after_the_stop_is_not_let_in_and_those_within_go_on() -> None:
    async with house() as here:
        stream = await here.upgrade()
        here.edge.stop_accepting()
        await wait_all_tasks_blocked()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream(*here.address[:2])
        await stream.send_all(b"\x89\x80\0\0\0\0")
        answer = b""
        while not answer.endswith(b"\x8a\x00"):
            answer += await stream.receive_some()
        assert here.edge.open == 1


async def test_the_admin_port_serves_plain_requests_until_the_end() -> None:
    async with house(unready="draining", max_connections=1) as here:
        within = await here.upgrade()
        for _ in range(2):
            assert (await here.ask(LIVE, admin=True)).startswith(b"HTTP/1.1 200 ")
            assert (await here.ask(UPGRADE, admin=True)).startswith(b"HTTP/1.1 404 ")
            here.edge.stop_accepting()
            await wait_all_tasks_blocked()
        ready = await here.ask(LIVE.replace(b"live", b"ready"), admin=True)
        assert ready.startswith(b"HTTP/1.1 503 ")
        assert b"draining" in ready
        assert here.edge.open == 1
        # What is open there holds up no drain.
        await here.connect(admin=True)
        await within.aclose()
        await here.edge.wait_empty()


async def test_connections_to_the_admin_port_are_bounded() -> None:
    async with house() as here:
        for _ in range(MAX_ADMIN_CONNECTIONS):
            await here.connect(admin=True)
        await wait_all_tasks_blocked()
        assert await here.ask(admin=True) == b""
        await here.clients[0].aclose()
        await wait_all_tasks_blocked()
        assert (await here.ask(LIVE, admin=True)).startswith(b"HTTP/1.1 200 ")


async def test_who_has_not_asked_yet_when_it_stops_becomes_no_session(
    autojump_clock: MockClock,
) -> None:
    async with house() as here:
        quick, slow = await here.connect(), await here.connect(UPGRADE[:10])
        await wait_all_tasks_blocked()
        stopped_at = trio.current_time()
        here.edge.stop_accepting()
        await quick.send_all(UPGRADE)
        for stream in (quick, slow):
            answer = await everything(stream)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 5" in answer
            assert b"stopping" in answer
        assert trio.current_time() - stopped_at == STOP_PATIENCE


async def test_one_can_wait_until_nobody_is_within() -> None:
    async with house() as here:
        await here.edge.wait_empty()
        first, second = await here.upgrade(), await here.upgrade()
        empty = trio.Event()

        async def wait() -> None:
            await here.edge.wait_empty()
            empty.set()

        here.nursery.start_soon(wait)
        await first.aclose()
        await wait_all_tasks_blocked()
        assert not empty.is_set()
        await second.aclose()
        await empty.wait()
        assert here.edge.open == 0


async def test_who_comes_while_the_pool_closes_is_closed_and_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with house() as here:

        def closed(*_: object) -> None:
            raise PoolClosed("connections")

        monkeypatch.setattr(here.connections, "start_soon", closed)
        assert await here.ask() == b""
        assert here.edge.open == 0
        monkeypatch.undo()
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
