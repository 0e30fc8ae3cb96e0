from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from tests.faults.proxy import open_proxy, tcp, unix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.faults.proxy import Proxy


class Pair:
    """Both ends of a connection through a proxy."""

    def __init__(self, proxy: Proxy, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server


@asynccontextmanager
async def _pair() -> AsyncIterator[Pair]:
    accepted, arrivals = trio.open_memory_channel[trio.SocketStream](10)

    async def keep(stream: trio.SocketStream) -> None:
        await accepted.send(stream)
        await trio.sleep_forever()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, keep, [listener])
        port = listener.socket.getsockname()[1]
        async with open_proxy(tcp(port), random.Random(1)) as proxy:
            client = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            async with client:
                server = await arrivals.receive()
                # The proxy itself may learn of it later than the server does.
                await server.send_all(b"!")
                await _exactly(client, 1)
                yield Pair(proxy, client, server)
        nursery.cancel_scope.cancel()
    accepted.close()
    arrivals.close()


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = await stream.receive_some(count - len(data))
        assert piece, "the connection ended"
        data += piece
    return data


async def _until_broken(stream: trio.SocketStream) -> bytes:
    """What comes before the connection breaks."""
    data = b""
    try:
        while piece := await stream.receive_some():
            data += piece
    except trio.BrokenResourceError:
        return data
    raise AssertionError("it ended instead of breaking")


async def test_bytes_pass_both_ways_unchanged_and_in_order() -> None:
    content = random.Random(2).randbytes(1_000_000)
    async with _pair() as pair, trio.open_nursery() as nursery:
        nursery.start_soon(pair.client.send_all, content)
        assert await _exactly(pair.server, len(content)) == content
        nursery.start_soon(pair.server.send_all, content[::-1])
        assert await _exactly(pair.client, len(content)) == content[::-1]


async def test_an_end_of_one_direction_passes_and_the_other_goes_on() -> None:
    async with _pair() as pair:
        await pair.client.send_eof()
        assert await pair.server.receive_some() == b""
        await pair.server.send_all(b"still here")
        assert await _exactly(pair.client, 10) == b"still here"
        await pair.server.send_eof()
        assert await pair.client.receive_some() == b""


async def test_a_cut_breaks_both_ends_and_nothing_is_left() -> None:
    async with _pair() as pair:
        pair.proxy.cut()
        assert await _until_broken(pair.client) == b""
        assert await _until_broken(pair.server) == b""
        await wait_all_tasks_blocked()
        assert pair.proxy.connections == 0


async def test_while_stalled_nothing_passes_and_later_everything_does() -> None:
    async with _pair() as pair:
        with pair.proxy.stalled():
            await pair.client.send_all(b"late")
            with trio.move_on_after(0.05) as scope:
                await pair.server.receive_some()
            assert scope.cancelled_caught
        assert await _exactly(pair.server, 4) == b"late"


async def test_latency_holds_each_piece() -> None:
    async with _pair() as pair:
        pair.proxy.latency = 0.05
        began = trio.current_time()
        await pair.client.send_all(b"?")
        await _exactly(pair.server, 1)
        await pair.server.send_all(b"!")
        await _exactly(pair.client, 1)
        assert trio.current_time() - began >= 0.1


async def test_a_cut_comes_within_so_many_bytes() -> None:
    passed: set[int] = set()
    for _ in range(5):
        async with _pair() as pair:
            pair.proxy._rng = random.Random(len(passed))
            pair.proxy.cut_within(50)
            await pair.client.send_all(b"x" * 50)
            passed.add(len(await _until_broken(pair.server)))
            assert await _until_broken(pair.client) == b""
    assert all(count < 50 for count in passed)
    assert len(passed) > 1


async def test_a_lost_reply_takes_its_connection_along_after_the_request_arrived() -> None:
    async with _pair() as pair:
        pair.proxy.lose_replies()
        await pair.client.send_all(b"commit")
        assert await _exactly(pair.server, 6) == b"commit"
        await pair.server.send_all(b"committed")
        assert await _until_broken(pair.client) == b""


async def test_a_closed_proxy_breaks_what_is_there_and_what_comes_until_it_opens() -> None:
    async with _pair() as pair:
        with pair.proxy.closed():
            assert await _until_broken(pair.client) == b""
            async with await trio.open_tcp_stream("127.0.0.1", pair.proxy.port) as another:
                assert await _until_broken(another) == b""
        async with await trio.open_tcp_stream("127.0.0.1", pair.proxy.port) as another:
            await another.send_all(b"?")
            with trio.move_on_after(0.05) as scope:
                await another.receive_some()
            assert scope.cancelled_caught, "it is carried again, and nobody answers"


async def test_a_client_of_a_server_that_is_not_there_is_broken_at_once(tmp_path: Path) -> None:
    async with (
        open_proxy(unix(str(tmp_path / "nothing")), random.Random(1)) as proxy,
        await trio.open_tcp_stream("127.0.0.1", proxy.port) as client,
    ):
        assert await _until_broken(client) == b""


async def test_a_unix_socket_is_reached_over_tcp(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with trio.socket.socket(trio.socket.AF_UNIX) as listener:
        await listener.bind(path)
        listener.listen()
        async with (
            open_proxy(unix(path), random.Random(1)) as proxy,
            await trio.open_tcp_stream("127.0.0.1", proxy.port) as client,
        ):
            await client.send_all(b"over there")
            connection, _ = await listener.accept()
            async with trio.SocketStream(connection) as server:
                assert await _exactly(server, 10) == b"over there"
