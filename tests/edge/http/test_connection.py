"""How long things may take on an HTTP connection, and how it ends."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.edge.apps import Client, Recorder, request
from tests.edge.house import UPGRADE, House, house

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from trio.testing import MockClock


async def client(here: House, data: bytes = b"") -> Client:
    return Client(await here.connect(data))


async def drip(asking: Client, data: bytes, seconds: float) -> None:
    """A byte now and then, until the server has closed."""
    for byte in data:
        try:
            await asking.send(bytes([byte]))
        except trio.BrokenResourceError:
            return
        await trio.sleep(seconds)


# Slow clients


async def test_a_connection_without_a_request_is_closed_after_a_while(
    autojump_clock: MockClock,
) -> None:
    async with house(app=Recorder(), keep_alive_timeout=30) as here:
        asking = await client(here)
        for _ in range(3):
            await asking.send(request())
            await asking.reply()
            await trio.sleep(29)
        began = trio.current_time()
        assert await asking.closed()
        assert trio.current_time() - began == pytest.approx(1)


async def test_a_later_head_may_take_as_long_as_the_first(autojump_clock: MockClock) -> None:
    app = Recorder()
    async with house(app=app, head_timeout=7, keep_alive_timeout=100) as here:
        asking = await client(here, request())
        await asking.reply()
        await trio.sleep(90)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, asking, request("/slow" * 100), 0.5)
            reply = await asking.reply()
            assert (reply.status, reply.error["code"]) == (408, "TIMEOUT")
            assert trio.current_time() - began == pytest.approx(7)
            nursery.cancel_scope.cancel()
    assert len(app.scopes) == 1


async def test_a_body_that_does_not_come_is_not_waited_for(autojump_clock: MockClock) -> None:
    app = Recorder()
    async with house(app=app, body_grace=10) as here:
        asking = await client(here, request("/", "Content-Length: 5", method="POST") + b"abc")
        began = trio.current_time()
        assert (await asking.reply("POST")).error["code"] == "TIMEOUT"
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)
        assert await asking.closed()
    assert app.bodies == []


async def test_a_body_must_come_at_a_certain_rate(autojump_clock: MockClock) -> None:
    app = Recorder()
    async with house(app=app, body_grace=10, min_body_rate=1000, body_timeout=1000) as here:
        asking = await client(here, request("/", "Content-Length: 60000", method="POST"))
        for _ in range(60):  # 60 s, at the rate
            await asking.send(b"x" * 1000)
            await trio.sleep(1)
        assert (await asking.reply("POST")).status == 200
        await asking.send(request("/", "Content-Length: 60000", method="POST"))
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, asking, b"x" * 1000, 0.1)  # a hundredth of it
            assert (await asking.reply("POST")).status == 408
            assert trio.current_time() - began == pytest.approx(10.1, abs=0.1)
            nursery.cancel_scope.cancel()


async def test_even_at_that_rate_a_body_may_not_take_for_ever(autojump_clock: MockClock) -> None:
    async with house(app=Recorder(), body_grace=10, min_body_rate=1, body_timeout=20) as here:
        asking = await client(here, request("/", "Content-Length: 60000", method="POST"))
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(drip, asking, b"x" * 1000, 0.1)
            assert (await asking.reply("POST")).status == 408
            assert trio.current_time() - began == pytest.approx(20, abs=0.2)
            nursery.cancel_scope.cancel()


async def test_the_time_in_which_nobody_wants_the_body_does_not_count(
    autojump_clock: MockClock,
) -> None:
    autojump_clock.autojump_threshold = 0.05  # the kernel's buffers take a moment of real time
    read = 0

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        nonlocal read
        await trio.sleep(100)
        while True:
            event = await receive()
            read += len(event["body"])
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with house(app=busy, body_grace=10, max_body=10_000_000, request_timeout=200) as here:
        asking = await client(here, request("/", "Content-Length: 4000000", method="POST"))
        await asking.send(b"x" * 4_000_000)
        assert (await asking.reply("POST")).status == 200
    assert read == 4_000_000


async def test_an_application_that_does_not_answer_is_given_up(autojump_clock: MockClock) -> None:
    app = Recorder()
    app.go = trio.Event()
    async with house(app=app, request_timeout=15) as here:
        asking = await client(here, request())
        began = trio.current_time()
        reply = await asking.reply()
        assert (reply.status, reply.error["code"]) == (504, "TIMEOUT")
        assert trio.current_time() - began == pytest.approx(16)
        app.go.set()
        await asking.send(request())
        assert (await asking.reply()).status == 200


def endless(sent: Callable[[int], None]) -> Any:
    """An application whose answer has no end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent(65536)

    return app


async def test_a_client_that_takes_nothing_of_its_answer_is_closed(
    autojump_clock: MockClock,
) -> None:
    sent: list[int] = []
    async with house(app=endless(sent.append), write_timeout=30) as here:
        began = trio.current_time()
        await here.connect(request())
        await here.edge.wait_empty()
        assert trio.current_time() - began == pytest.approx(30)
    assert sum(sent) < 32 << 20  # what the kernel holds


async def test_an_answer_waits_for_a_client_that_reads_slowly(autojump_clock: MockClock) -> None:
    sent: list[int] = []
    async with house(app=endless(sent.append), write_timeout=30) as here:
        asking = await client(here, request())
        await wait_all_tasks_blocked()
        held = sum(sent)
        for _ in range(10):
            await trio.sleep(20)
            taken = 0
            while taken < 4 * 65536:
                taken += len(await asking.stream.receive_some(65536))
        assert sum(sent) <= held + 16 * 4 * 65536
        await asking.stream.aclose()
        await here.edge.wait_empty()


# The application's faults


async def test_an_answer_that_breaks_off_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("on purpose")

    async with house(app=breaks) as here:
        asking = await client(here, request())
        with pytest.raises(EOFError):
            await asking.reply()
    assert "on purpose" in caplog.text


async def test_an_answer_longer_than_it_said_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house(
        app=Recorder(headers=[(b"content-type", b"application/json"), (b"content-length", b"1")])
    ) as here:
        asking = await client(here, request())
        with pytest.raises(EOFError):
            await asking.reply()
    assert "a request failed" in caplog.text


async def test_an_application_that_ends_without_a_word_is_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()

    async with house(app=silent) as here:
        asking = await client(here, request() * 2)
        for _ in range(2):
            assert (await asking.reply()).error["code"] == "INTERNAL"
    assert "not answered" in caplog.text


# Limits and the end of the node


async def test_an_http_connection_counts_as_every_other() -> None:
    async with house(app=Recorder(), max_connections=2) as here:
        for _ in range(2):
            await (await client(here, request())).reply()
        assert (await here.ask()).startswith(b"HTTP/1.1 503 ")


async def test_an_http_connection_is_no_handshake_once_its_first_head_has_come() -> None:
    async with house(app=Recorder(), max_handshakes=1) as here:
        for _ in range(3):
            await (await client(here, request())).reply()
        assert here.edge.refused == 0


async def test_when_the_node_stops_requests_are_answered_and_idle_connections_closed(
    autojump_clock: MockClock,
) -> None:
    app = Recorder()
    async with house(app=app) as here:
        idle = await client(here, request())
        await idle.reply()
        app.go = trio.Event()
        served = await client(here, request("/served"))
        sending = await client(here, request("/", "Content-Length: 4", method="POST"))
        pipelined = await client(here, request("/first") + request("/second"))
        await wait_all_tasks_blocked()
        here.edge.stop_accepting()
        assert await idle.closed()
        await wait_all_tasks_blocked()
        await sending.send(b"body")
        await wait_all_tasks_blocked()
        app.go.set()
        for asking in (served, sending, pipelined):
            reply = await asking.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await asking.closed()
        await here.edge.wait_empty()
    assert "/second" not in [scope["path"] for scope in app.scopes]


async def test_a_first_request_that_comes_as_the_node_stops_is_its_last(
    autojump_clock: MockClock,
) -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here)
        later = await client(here, request())
        await later.reply()
        await later.send(b"GET /")
        await wait_all_tasks_blocked()
        here.edge.stop_accepting()
        await asking.send(request())
        await later.send(request()[len("GET /") :])
        for each in (asking, later):
            reply = await each.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await each.closed()


async def test_a_head_that_is_not_whole_when_the_node_stops_is_not_waited_for_long(
    autojump_clock: MockClock,
) -> None:
    async with house(app=Recorder(), head_timeout=60) as here:
        asking = await client(here, request())
        await asking.reply()
        await asking.send(b"GET /")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        here.edge.stop_accepting()
        assert (await asking.reply()).status == 408
        assert trio.current_time() - began <= 1


async def test_a_client_that_resets_while_it_is_served_disturbs_nobody() -> None:
    app = Recorder()
    app.go = trio.Event()
    async with house(app=app) as here:
        asking = await client(here, request())
        await wait_all_tasks_blocked()
        assert isinstance(asking.stream, trio.SocketStream)
        asking.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await asking.stream.aclose()
        await wait_all_tasks_blocked()
        app.go.set()
        await here.edge.wait_empty()
        assert (await (await client(here, request())).reply()).status == 200


# TLS


async def test_http_may_come_through_tls_and_says_so(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    app = Recorder(body=b"x" * 300_000)
    async with house(app=app, tls=contexts[0]) as here:
        plain = await here.connect()
        stream = trio.SSLStream(plain, contexts[1], server_hostname="localhost")
        asking = Client(stream)
        for number in range(2):
            await asking.send(request(f"/{number}", method="POST", body=b"y" * 60_000))
            reply = await asking.reply("POST")
            assert (reply.status, len(reply.body)) == (200, 300_000)
            assert reply.headers["strict-transport-security"] == "max-age=31536000"
    assert [scope["scheme"] for scope in app.scopes] == ["https"] * 2
    assert app.bodies == [b"y" * 60_000] * 2


async def test_the_end_under_tls_is_told_as_one(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with house(app=Recorder(), tls=contexts[0]) as here:
        stream = trio.SSLStream(await here.connect(), contexts[1], server_hostname="localhost")
        asking = Client(stream)
        await asking.send(request("/", "Connection: close"))
        assert (await asking.reply()).status == 200
        assert await stream.receive_some() == b""  # a cut would raise


async def test_a_websocket_is_still_one(autojump_clock: MockClock) -> None:
    async with house(app=Recorder()) as here:
        stream = await here.connect(UPGRADE)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        assert len(here.edge.sessions) == 1
