from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.session.session import Session
from tests.edge.house import CLOSE, LIVE, UPGRADE, everything, house

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_websocket_becomes_a_session_until_it_ends() -> None:
    async with house() as here:
        stream = await here.upgrade()
        (session,) = here.edge.sessions
        assert isinstance(session, Session)
        assert here.edge.open == 1
        await stream.send_all(CLOSE)
        await everything(stream)
        await stream.aclose()
        await here.edge.wait_empty()
        assert here.edge.open == 0
        assert here.edge.sessions == {}


async def test_what_comes_with_the_handshake_is_not_lost() -> None:
    async with house() as here:
        answer = await here.ask(UPGRADE + b"\x89\x82\0\0\0\0hi" + CLOSE)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert answer.endswith(b"\x8a\x02hi" + b"\x88\x00")


async def test_a_head_may_come_in_pieces() -> None:
    async with house() as here:
        stream = await here.connect()
        for byte in LIVE:
            await stream.send_all(bytes([byte]))
            await wait_all_tasks_blocked()
        assert (await everything(stream)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (LIVE, 200),
        (LIVE.replace(b"live", b"ready"), 503),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://evil.example"), 403),
        (b"\x16\x03\x01 a TLS hello", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2000 + b"\r\n\r\n", 431),
    ],
)
async def test_anything_else_gets_its_answer_and_the_connection_is_closed(
    data: bytes, status: int
) -> None:
    async with house(unready="draining", max_head=1024) as here:
        assert (await here.ask(data)).startswith(b"HTTP/1.1 %d " % status)
        await here.edge.wait_empty()


async def test_a_client_that_leaves_before_its_request_is_forgotten() -> None:
    async with house() as here:
        stream = await here.connect(b"GET /")
        await wait_all_tasks_blocked()
        assert here.edge.open == 1
        await stream.aclose()
        await here.edge.wait_empty()


@pytest.mark.parametrize("begun", [b"", LIVE[:-2]])
async def test_a_request_that_takes_too_long_is_told_and_closed(
    begun: bytes, autojump_clock: MockClock
) -> None:
    async with house(head_timeout=7) as here:
        began = trio.current_time()
        answer = await here.ask(begun)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began == pytest.approx(7)
        await here.edge.wait_empty()


async def test_bytes_now_and_then_do_not_prolong_it(autojump_clock: MockClock) -> None:
    async with house(head_timeout=7) as here:
        stream = await here.connect()
        for byte in LIVE[:6]:
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)
        assert (await everything(stream)).startswith(b"HTTP/1.1 408 ")


async def test_a_session_may_take_longer(autojump_clock: MockClock) -> None:
    async with house(head_timeout=1) as here:
        await here.upgrade()
        await trio.sleep(100)
        assert len(here.edge.sessions) == 1
