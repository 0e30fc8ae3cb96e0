"""An HTTP server that answers as it is told, for tests of what asks it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def answer(body: bytes, status: int = 200, *, last: bool = False) -> bytes:
    """An answer; `last` says that the connection ends with it."""
    more = "Connection: close\r\n" if last else ""
    head = f"HTTP/1.1 {status} Whatever\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def fake_server(
    respond: Callable[[bytes], list[bytes] | None],
) -> AsyncIterator[tuple[str, list[int]]]:
    """Answer each request with the pieces that `respond` returns for it; None hangs up.

    Yields the address, and a list that gets the requests of each connection counted.
    """
    counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        which = len(counts)
        counts.append(0)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                pieces = respond(head + await reader.readexactly(length))
                counts[which] += 1
                if pieces is None:
                    return
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", counts
