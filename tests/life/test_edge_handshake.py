"""Opening handshakes that the real server refuses, and the bounds on those that stay open."""

from __future__ import annotations

import select
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.frames import Connect
from tests.actors.rfc6455_cases import BINARY_A
from tests.life.raw_sockets import RawSocket, Response, parse_response, request
from tests.support.server import token

if TYPE_CHECKING:
    from tests.life.conftest import StartServer
    from tests.life.processes import ServerProcess

TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(154)

REFUSED = {
    "another version": (request(Sec_WebSocket_Version="8"), 426),
    "no version": (request(Sec_WebSocket_Version=None), 426),
    "no key": (request(Sec_WebSocket_Key=None), 400),
    "a short key": (request(Sec_WebSocket_Key="c2hvcnQ="), 400),
    "two keys": (request("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
    "no upgrade": (request(Upgrade=None), 426),
    "an upgrade to something else": (request(Upgrade="h2c"), 426),
    "no connection option": (request(Connection="keep-alive"), 426),
    "another method": (request(method="POST"), 405),
    "a body": (request("Content-Length: 4") + b"body", 400),
    "HTTP/1.0": (request(version="1.0"), 426),
    "HTTP/2.0": (request(version="2.0"), 505),
    "no host": (request(Host=None), 400),
    "a foreign origin": (request(Origin="https://evil.example"), 403),
    "the opaque origin": (request(Origin="null"), 403),
    "only other subprotocols": (request(Sec_WebSocket_Protocol="mqtt, chat4all.v2"), 400),
    "a token in the URL": (request(target="/ws?token=abc"), 400),
    "an access token in the URL": (request(target="/ws?a=1&access_token=abc"), 400),
    "an oversized head": (request(X_Filler="x" * 17_000), 431),
    "a head without an end": (b"GET /ws HTTP/1.1\r\n" + b"X: y\r\n" * 4000, 431),
    "a TLS hello": (TLS_HELLO, 400),
    "zeros": (bytes(64), 400),
    "line ends": (b"\r\n\r\n\r\n", 400),
    "words": (b"hello, is anybody there?\r\n\r\n", 400),
    "another path": (request(target="/socket", Connection="close, Upgrade"), 404),
}


def refusal(server: ServerProcess, opening: bytes) -> Response:
    with RawSocket(server.port) as connection:
        connection.send(opening)
        return connection.response()


@pytest.mark.parametrize("name", REFUSED)
def test_a_handshake_that_breaks_a_rule_is_refused_in_the_error_format(
    server: ServerProcess, name: str
) -> None:
    opening, status = REFUSED[name]
    response = refusal(server, opening)
    assert response.status == status
    assert response.headers["connection"].split(", ")[-1] == "close"
    assert int(response.headers["content-length"]) == len(response.body)
    assert response.error.keys() == {"code", "message", "trace_id"}


def test_a_refused_version_is_told_the_one_that_is_spoken(server: ServerProcess) -> None:
    response = refusal(server, request(Sec_WebSocket_Version="8"))
    assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(None, None), ("chat4all.v1", "chat4all.v1"), ("mqtt, chat4all.v1", "chat4all.v1")],
)
def test_the_subprotocol_is_chosen_when_it_is_offered(
    server: ServerProcess, offered: str | None, chosen: str | None
) -> None:
    with RawSocket(server.port) as connection:
        response = connection.upgrade(request(Sec_WebSocket_Protocol=offered))
        assert response.headers.get("sec-websocket-protocol") == chosen
        assert connection.receive_message()["t"] == "hello"


def test_extensions_are_never_negotiated(server: ServerProcess) -> None:
    with RawSocket(server.port) as connection:
        response = connection.upgrade(request(Sec_WebSocket_Extensions="permessage-deflate"))
        assert "sec-websocket-extensions" not in response.headers


def test_the_servers_own_origin_and_those_of_the_allow_list_may_connect(
    start_server: StartServer,
) -> None:
    server = start_server(allowed_origins="https://chat.example.org https://other.example:8443")
    for origin in (
        "http://chat.example",
        "https://chat.example.org",
        "https://CHAT.example.org:443",
        "https://other.example:8443",
    ):
        with RawSocket(server.port) as connection:
            connection.upgrade(request(Origin=origin))
    for origin in ("http://chat.example.org", "https://other.example", "https://x.example.org"):
        assert refusal(server, request(Origin=origin)).status == 403


def test_a_handshake_may_come_byte_by_byte(server: ServerProcess) -> None:
    with RawSocket(server.port) as connection:
        connection.upgrade(pieces=1)
        assert connection.receive_message()["t"] == "hello"


def test_a_client_that_leaves_within_the_handshake_does_no_harm(server: ServerProcess) -> None:
    for cut in (0, 1, 20, len(request()) - 1):
        with RawSocket(server.port) as connection:
            connection.send(request()[:cut])
            connection.end()
            assert connection.rest() == b""


def test_a_head_that_trickles_in_is_given_up_with_408(start_server: StartServer) -> None:
    server = start_server(head_timeout=0.5)
    with RawSocket(server.port) as connection:
        connection.send(b"GET /ws HTTP/1.1\r\nX: ")
        while not select.select([connection.socket], [], [], 0.05)[0]:
            connection.send(b"y")
        response = connection.response()
    assert response.status == 408
    assert response.error["code"] == "TIMEOUT"


def test_a_client_that_does_not_connect_in_time_is_closed_with_3502(
    start_server: StartServer,
) -> None:
    server = start_server(connect_timeout=0.5)
    with RawSocket(server.port) as silent, RawSocket(server.port) as pinging:
        for connection in (silent, pinging):
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
        pinging.send(BINARY_A)
        assert pinging.receive_message()["t"] == "pong"
        assert [silent.receive_close(), pinging.receive_close()] == [3502, 3502]


def test_a_client_that_did_connect_in_time_stays(start_server: StartServer) -> None:
    server = start_server(connect_timeout=0.5)
    with RawSocket(server.port) as connected, RawSocket(server.port) as silent:
        for connection in (connected, silent):
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
        connected.send_frame(Connect(token=token("ana"), device="d"))
        assert connected.receive_message()["t"] == "ready"
        assert silent.receive_close() == 3502
        connected.send(BINARY_A)
        assert connected.receive_message()["t"] == "pong"


def assert_no_room(response: Response) -> None:
    assert response.status == 503
    assert response.error["code"] == "UNAVAILABLE"
    assert int(response.headers["retry-after"]) >= 1


def admitted(server: ServerProcess) -> RawSocket:
    """A WebSocket, as soon as there is room for it."""
    while True:
        connection = RawSocket(server.port)
        connection.send(request())
        with suppress(ConnectionResetError):
            if connection.socket.recv(12) == b"HTTP/1.1 101":
                return connection
        connection.socket.close()


def test_half_open_connections_beyond_the_bound_are_refused_with_503(
    start_server: StartServer,
) -> None:
    server = start_server(max_handshakes=20)
    with ExitStack() as stack:
        served = stack.enter_context(RawSocket(server.port))
        served.upgrade()
        held = [stack.enter_context(RawSocket(server.port)) for _ in range(120)]
        for connection in held[20:]:
            assert_no_room(connection.response())
        # Who is past the handshake does not count, and goes on.
        assert served.receive_message()["t"] == "hello"
        # Those within the bound are not forgotten, and make room when they go.
        held[11].upgrade()
        held[7].socket.close()
        stack.enter_context(admitted(server))


def test_connections_beyond_the_bound_are_refused_with_503(start_server: StartServer) -> None:
    server = start_server(max_connections=10)
    with ExitStack() as stack:
        held = [stack.enter_context(RawSocket(server.port)) for _ in range(10)]
        for connection in held:
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
        for _ in range(5):
            with RawSocket(server.port) as connection:
                assert_no_room(connection.response())
        held[3].socket.close()
        stack.enter_context(admitted(server))
        held[4].send(BINARY_A)
        assert held[4].receive_message()["t"] == "pong"


def test_websockets_that_come_too_fast_are_refused_with_503(start_server: StartServer) -> None:
    server = start_server(handshake_rate=0.001, handshake_burst=3)
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(RawSocket(server.port))
            connection.upgrade()
            assert connection.receive_message()["t"] == "hello"
        for _ in range(3):
            with RawSocket(server.port) as connection:
                connection.send(request())
                response = connection.response()
                assert_no_room(response)
                assert int(response.headers["retry-after"]) == 60
        with RawSocket(server.port) as connection:
            connection.send(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            assert parse_response(connection.rest()).status == 200
