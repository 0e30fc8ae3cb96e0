"""The real server with WebSocket libraries that others wrote as its clients, also over TLS."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.frames import (
    Connect,
    Conv,
    Create,
    Error,
    Fetch,
    Msg,
    Page,
    Ping,
    Pong,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id
from tests.actors.rfc6455_cases import CLOSE, PING
from tests.life.peers import LINKS, Closed, Peer, open_peer
from tests.life.raw_sockets import RawSocket, close_code
from tests.support.server import token

if TYPE_CHECKING:
    from tests.life.conftest import Certificate, Names, StartServer
    from tests.life.processes import ServerProcess

each_library = pytest.mark.parametrize("library", LINKS)

PAGE_TEXT = "\u20ac" * 10_000
"""A text as large as it may be: 30,000 bytes."""


async def closed(peer: Peer) -> int | None:
    """The code of the server's close, which comes next."""
    with pytest.raises(Closed) as caught:
        await peer.link.receive()
    code = caught.value.code
    assert code is None or isinstance(code, int)
    return code


async def chat(ana: str, bob: str, anas: Peer, bobs: Peer) -> str:
    """Both connect, talk, and fetch what they said; the conversation."""
    await anas.connect(ana)
    await bobs.connect(bob)
    await anas.send(Create(rid=1, type="private", members=[bob]))
    conv = await anas.receive()
    assert isinstance(conv, Conv)
    assert isinstance(await bobs.receive(), Conv)
    for number in range(1, 11):
        speaker, listener, name = (anas, bobs, ana) if number % 2 else (bobs, anas, bob)
        body = TextBody(f"{number} 😀")
        await speaker.send(Send(rid=number, conv=conv.conv, id=new_id(), body=body))
        sent, msg = await speaker.receive(), await listener.receive()
        assert isinstance(sent, Sent)
        assert isinstance(msg, Msg)
        assert (sent.seq, msg.seq, msg.from_, msg.body) == (number, number, name, body)
    for peer in (anas, bobs):
        await peer.send(Fetch(rid=99, conv=conv.conv))
        page = await peer.receive()
        assert isinstance(page, Page)
        assert [item.seq for item in page.items] == list(range(1, 11))
    return conv.conv


@each_library
async def test_people_chat(server: ServerProcess, names: Names, library: str) -> None:
    ana, bob = names(2)
    async with open_peer(library, server.port) as one, open_peer(library, server.port) as two:
        assert one.link.subprotocol == "chat4all.v1"
        await chat(ana, bob, one, two)


async def test_a_message_may_come_in_fragments(server: ServerProcess) -> None:
    data = encode(Ping(at=7))
    async with open_peer("websockets", server.port) as peer:
        for size in (1, 3, len(data)):
            await peer.link.send(*(data[i : i + size] for i in range(0, len(data), size)))
            pong = await peer.receive()
            assert isinstance(pong, Pong)
            assert pong.at == 7
        await peer.link.send(b"", data, b"")
        assert isinstance(await peer.receive(), Pong)


@each_library
async def test_the_server_answers_pings(server: ServerProcess, library: str) -> None:
    async with open_peer(library, server.port) as peer:
        for payload in (b"1", b"x" * 125):
            await peer.link.ping(payload)
        await peer.send(Ping(at=1))
        assert isinstance(await peer.receive(), Pong)


async def test_quiet_peers_that_answer_the_servers_pings_stay_connected(
    start_server: StartServer,
) -> None:
    server = start_server(heartbeat=1, heartbeat_grace=1, connect_timeout=60, close_timeout=1)

    def stay_silent() -> tuple[list[int], int | None]:
        """The opcodes that came, and the code of the close."""
        with RawSocket(server.port) as connection:
            connection.upgrade()
            opcodes, code = [], None
            while (received := connection.receive()) is not None:
                opcodes.append(received[0])
                if received[0] == CLOSE:
                    code = close_code(received[1])
            return opcodes, code

    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(open_peer(library, server.port)) for library in LINKS
        ]
        opcodes, code = await trio.to_thread.run_sync(stay_silent)
        # The silent one was pinged, and given up; the others were there before it.
        assert PING in opcodes
        assert code == 3012
        for peer in peers:
            await peer.send(Ping(at=1))
            assert isinstance(await peer.receive(), Pong)


@each_library
async def test_the_peer_closes_and_the_server_answers_with_its_code(
    server: ServerProcess, names: Names, library: str
) -> None:
    (ana,) = names(1)
    for code, reason in ((1000, ""), (1001, "going away"), (4321, "x" * 123)):
        async with open_peer(library, server.port) as peer:
            await peer.connect(ana)
            await peer.link.close(code, reason)


@each_library
async def test_the_server_closes_and_the_peer_learns_the_code(
    server: ServerProcess, names: Names, library: str
) -> None:
    (ana,) = names(1)
    async with open_peer(library, server.port) as old, open_peer(library, server.port) as new:
        await old.connect(ana)
        await new.connect(ana)
        assert await closed(old) == 3504
        await new.send(Connect(token=token(ana), device="device"))
        assert isinstance(await new.receive(), Error)
        assert await closed(new) == 3501


@each_library
async def test_a_message_of_the_largest_size_is_served_and_one_byte_more_closes_with_1009(
    server: ServerProcess, library: str
) -> None:
    head = b"\x82\xa1t\xa4ping\xa3pad\xdb"
    async with open_peer(library, server.port) as peer:
        assert peer.rules.hello is not None
        padding = peer.rules.hello.limits.frame - len(head) - 4
        for size in (padding - 1, padding):
            await peer.link.send(head + size.to_bytes(4, "big") + b"x" * size)
            assert isinstance(await peer.receive(), Pong)
        await peer.link.send(head + (padding + 1).to_bytes(4, "big") + b"x" * (padding + 1))
        assert await closed(peer) == 1009


# TLS


@pytest.fixture
def tls_server(start_server: StartServer, certificate: Certificate) -> ServerProcess:
    return start_server(*certificate.flags)


@each_library
async def test_people_chat_over_tls_and_read_large_pages(
    tls_server: ServerProcess, tls: ssl.SSLContext, names: Names, library: str
) -> None:
    ana, bob = names(2)
    assert tls_server.url.startswith("https://")
    port = tls_server.port
    async with open_peer(library, port, tls) as one, open_peer(library, port, tls) as two:
        conv = await chat(ana, bob, one, two)
        for number in range(20):
            await one.send(Send(rid=number, conv=conv, id=new_id(), body=TextBody(PAGE_TEXT)))
            assert isinstance(await one.receive(), Sent)
            assert isinstance(await two.receive(), Msg)
        for peer in (one, two):
            await peer.send(Fetch(rid=1, conv=conv, after=10))
            page = await peer.receive()
            assert isinstance(page, Page)
            assert len(page.items) > 10
            assert {item.body for item in page.items} == {TextBody(PAGE_TEXT)}
        await one.link.close(1000, "")


@each_library
async def test_a_tls_client_that_reads_slowly_gets_everything_unharmed(
    tls_server: ServerProcess, tls: ssl.SSLContext, names: Names, library: str
) -> None:
    ana, bob = names(2)
    port = tls_server.port
    pages = 40
    async with open_peer(library, port, tls) as one, open_peer(library, port, tls) as two:
        conv = await chat(ana, bob, one, two)
        for number in range(10):
            await one.send(Send(rid=number, conv=conv, id=new_id(), body=TextBody(PAGE_TEXT)))
            await one.receive()

        def read_slowly() -> None:
            with RawSocket(port, receive_buffer=4096, tls=tls) as slow:
                slow.upgrade()
                slow.send_frame(Connect(token=token(bob), device="slow"))
                assert [slow.receive_message()["t"] for _ in range(2)] == ["hello", "ready"]
                # More than the kernel and the server's queue hold: the server must stop and go.
                for rid in range(pages):
                    slow.send_frame(Fetch(rid=rid, conv=conv, after=10))
                for rid in range(pages):
                    page = slow.receive_message()
                    assert page["rid"] == rid
                    bodies = [item["body"]["text"] for item in page["items"]]
                    assert bodies == [PAGE_TEXT] * 10

        await trio.to_thread.run_sync(read_slowly)


async def test_who_does_not_trust_the_certificate_or_speaks_no_tls_does_no_harm(
    tls_server: ServerProcess, tls: ssl.SSLContext
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        RawSocket(tls_server.port, tls=ssl.create_default_context())
    with RawSocket(tls_server.port) as plain, suppress(ConnectionResetError):
        plain.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in plain.rest()
    async with open_peer("websockets", tls_server.port, tls) as peer:
        await peer.send(Ping(at=1))
        assert isinstance(await peer.receive(), Pong)
