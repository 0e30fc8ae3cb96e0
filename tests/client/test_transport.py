from __future__ import annotations

from functools import partial

import pytest
import trio
import trio_websocket

from chat4all_client import ConnectionRefusedByServer, Msg, TextBody, open_client
from chat4all_client.transport import (
    TransportClosed,
    TransportRefused,
    websocket_opener,
    websocket_url,
)
from tests.client.model import CONV, ModelServer, ModelSession


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws"),
        ("https://example.org/", "wss://example.org/ws"),
        ("ws://example.org/ws", "ws://example.org/ws"),
        ("wss://example.org/ws/", "wss://example.org/ws"),
        ("https://example.org/chat", "wss://example.org/chat/ws"),
        ("http://[::1]:8000", "ws://[::1]:8000/ws"),
    ],
)
def test_a_server_has_its_websocket_under_ws(given: str, address: str) -> None:
    assert websocket_url(given) == address


@pytest.mark.parametrize(
    "url",
    [
        "example.org",
        "ftp://example.org",
        "ws://",
        "ws://u:p@example.org",
        "ws://example.org?token=t",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        websocket_url(url)


async def serve(server: ModelServer, nursery: trio.Nursery) -> str:
    """Serve the model on a free port; returns its address."""

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        if b"refuse" in request.path.encode():
            await request.reject(429, extra_headers=[(b"Retry-After", b"5")], body=b"later")
            return
        connection = await request.accept(subprotocol=request.proposed_subprotocols[0])
        session = ModelSession(server)
        try:
            while session.closed is None:
                while session.out:
                    await connection.send_message(session.out.popleft())
                data = await connection.get_message()
                assert isinstance(data, bytes)
                session.receive(data)
            await connection.aclose(*session.closed)
        except trio_websocket.ConnectionClosed:
            session.end()

    listening = await nursery.start(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None)
    return f"http://127.0.0.1:{listening.port}"


async def test_a_client_talks_over_a_real_socket() -> None:
    server = ModelServer()
    server.create(CONV)
    async with trio.open_nursery() as nursery:
        url = await serve(server, nursery)
        async with open_client(url, token="t", device="d") as client:
            assert (await client.send(CONV, "x" * 60_000)).seq == 1
            async for event in client.events():
                if isinstance(event, Msg):
                    assert event.body == TextBody("x" * 60_000)
                    break
        assert server.sessions == []
        nursery.cancel_scope.cancel()


async def test_the_close_code_and_the_reason_of_the_server_arrive() -> None:
    server = ModelServer()
    server.tokens = set()
    async with trio.open_nursery() as nursery:
        url = await serve(server, nursery)
        async with websocket_opener(websocket_url(url))() as transport:
            await transport.receive()
            server.sessions[0].end(3500, "who are you")
            await transport.send(b"\x81\xa1t\xa4ping")
            with pytest.raises(TransportClosed) as caught:
                await transport.receive()
            assert (caught.value.code, caught.value.reason) == (3500, "who are you")
            with pytest.raises(TransportClosed):
                await transport.send(b"")
        nursery.cancel_scope.cancel()


async def test_a_server_that_refuses_says_when_to_come_again() -> None:
    async with trio.open_nursery() as nursery:
        url = await serve(ModelServer(), nursery)
        with pytest.raises(TransportRefused) as caught:
            async with websocket_opener(websocket_url(url + "/refuse"))():
                pytest.fail("there is no connection")
        assert (caught.value.status, caught.value.reason) == (429, "later")
        assert caught.value.retry_after == 5
        nursery.cancel_scope.cancel()


async def test_nobody_listening_is_an_error_of_the_system() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(OSError, match="refused"):
        async with websocket_opener(f"ws://127.0.0.1:{port}/ws")():
            pytest.fail("there is no connection")


async def test_a_wrong_token_ends_the_client() -> None:
    server = ModelServer()
    server.tokens = set()
    async with trio.open_nursery() as nursery:
        url = await serve(server, nursery)
        with pytest.raises(ConnectionRefusedByServer):
            async with open_client(url, token="t", device="d"):
                pytest.fail("there is no connection")
        nursery.cancel_scope.cancel()


async def test_a_server_that_does_not_speak_is_given_up() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener:
        with pytest.raises(TimeoutError, match="no answer within"):
            async with websocket_opener(f"ws://127.0.0.1:{port}/ws", timeout=0.01)():
                pytest.fail("there is no connection")


async def test_a_server_that_hangs_up_during_the_handshake_is_an_error_of_the_system() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, hang_up, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with pytest.raises(OSError, match="during the handshake"):
            async with websocket_opener(f"ws://127.0.0.1:{port}/ws", timeout=10)():
                pytest.fail("there is no connection")
        nursery.cancel_scope.cancel()
