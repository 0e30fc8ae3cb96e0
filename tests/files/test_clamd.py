from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from chat4all_actors.files.clamd import Clamd, Scan, ScannerAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from chat4all_actors.files.clamd import Finding

VIRUS = b"a virus"
LIMIT = 1000


async def as_clamd(stream: trio.SocketStream) -> None:
    """Speak INSTREAM as clamd does, with a StreamMaxLength of `LIMIT`."""
    received = bytearray()

    async def take(count: int) -> bytes:
        while len(received) < count:
            received.extend(await stream.receive_some())
        taken = bytes(received[:count])
        del received[:count]
        return taken

    assert await take(10) == b"zINSTREAM\0"
    seen = b""
    while (size := int.from_bytes(await take(4), "big")) != 0:
        seen += await take(size)
        if len(seen) > LIMIT:
            await stream.send_all(b"INSTREAM size limit exceeded. ERROR\0")
            return
    await stream.send_all(b"stream: Some.Virus FOUND\0" if VIRUS in seen else b"stream: OK\0")


@asynccontextmanager
async def served(
    serve: Callable[[trio.SocketStream], Awaitable[None]] = as_clamd,
) -> AsyncIterator[Clamd]:
    async def each(stream: trio.SocketStream) -> None:
        async with stream:
            await serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, each, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield Clamd(f"127.0.0.1:{port}", timeout=30)
        nursery.cancel_scope.cancel()


async def scanned(clamd: Clamd, *pieces: bytes) -> Finding:
    async with clamd.scan() as scan:
        for piece in pieces:
            await scan.write(piece)
        return await scan.finding()


async def test_bytes_are_clean_or_infected() -> None:
    async with served() as clamd:
        assert await scanned(clamd, b"nothing ", b"bad") == "clean"
        assert await scanned(clamd, b"here is a vi", b"rus: hidden") == "infected"


async def test_a_file_over_the_limit_of_the_scanner_is_never_called_clean() -> None:
    async with served() as clamd:
        assert await scanned(clamd, *[b"x" * 600] * 50) == "too_large"


async def test_a_scanner_may_listen_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "clamd.sock"
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(path))
    listener.listen()

    async def serve() -> None:
        connection, _ = await listener.accept()
        async with trio.SocketStream(connection) as stream:
            await as_clamd(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert await scanned(Clamd(str(path), timeout=30), VIRUS) == "infected"
    listener.close()


async def test_where_nobody_listens_the_scanner_is_away(tmp_path: Path) -> None:
    with pytest.raises(ScannerAway, match="can't be reached"):
        await scanned(Clamd(str(tmp_path / "none"), timeout=30))


@pytest.mark.parametrize("answer", [b"", b"stream: ERROR\0", b"HTTP/1.1 400\r\n", b"x" * 5000])
async def test_who_does_not_answer_as_a_scanner_is_none(answer: bytes) -> None:
    async def other(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer or b" ")

    async with served(other) as clamd:
        with pytest.raises(ScannerAway):
            await scanned(clamd, b"anything")


async def test_a_scanner_that_hangs_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    scan = Scan(ours, timeout=5)
    await scan.begin()
    await scan.write(b"anything")
    with pytest.raises(ScannerAway, match="does not answer"):
        await scan.finding()
    assert trio.current_time() == pytest.approx(5.0, abs=0.1)
    await theirs.aclose()
