"""trio-websocket: rooms by a loop over their members."""

from __future__ import annotations

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

rooms: dict[str | bytes, set[WebSocketConnection]] = {}


async def echo(connection: WebSocketConnection) -> None:
    """Send back what comes."""
    while True:
        await connection.send_message(await connection.get_message())


async def room(connection: WebSocketConnection) -> None:
    """Send what comes to everybody in the room that the first message names."""
    name = await connection.get_message()
    members = rooms.setdefault(name, set())
    members.add(connection)
    try:
        await connection.send_message(name)
        while True:
            message = await connection.get_message()
            for member in list(members):
                await send(member, message)
    finally:
        members.discard(connection)


async def send(member: WebSocketConnection, message: str | bytes) -> None:
    """Send to one who may have left a moment ago."""
    try:
        await member.send_message(message)
    except ConnectionClosed:
        return


async def handler(request: WebSocketRequest) -> None:
    """Serve a connection by its path."""
    connection = await request.accept()
    try:
        await (echo if request.path == "/echo" else room)(connection)
    except ConnectionClosed:
        return


async def main() -> None:
    """Serve until the process is ended."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handler, "127.0.0.1", 0, None)
        print(f"listening on http://127.0.0.1:{server.port}", flush=True)


trio.run(main)
