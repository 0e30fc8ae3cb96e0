"""`websockets` on asyncio: rooms by `broadcast`. With `--uvloop` on that loop."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: dict[str | bytes, set[ServerConnection]] = {}


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


async def room(connection: ServerConnection) -> None:
    """Send what comes to everybody in the room that the first message names."""
    name = await connection.recv()
    members = rooms.setdefault(name, set())
    members.add(connection)
    try:
        await connection.send(name)
        async for message in connection:
            broadcast(members, message)
    finally:
        members.discard(connection)


async def handler(connection: ServerConnection) -> None:
    """Serve a connection by its path."""
    assert connection.request is not None
    await (echo if connection.request.path == "/echo" else room)(connection)


async def main() -> None:
    """Serve until the process is ended."""
    async with serve(handler, "127.0.0.1", 0, compression=None, backlog=4096) as server:
        print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if "--uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
