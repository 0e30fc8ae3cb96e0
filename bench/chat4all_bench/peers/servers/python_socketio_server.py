"""python-socketio's asynchronous server as an ASGI application on uvicorn, with uvloop.

Rooms are the library's own. Clients get the acknowledgement that they asked for when the handler
returns: the message has then been given to the queues of the room's other members.
"""

from __future__ import annotations

import socket

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], http_compression=False)
rooms: dict[str, str] = {}


async def join(sid: str, name: str) -> None:
    """Enter the one room of a client."""
    rooms[sid] = name
    await server.enter_room(sid, name)


async def message(sid: str, text: str) -> None:
    """Send a message to the others in the room."""
    await server.emit("message", text, room=rooms[sid], skip_sid=sid)


async def echo(sid: str, text: str) -> str:
    """Answer with what came."""
    return text


async def disconnect(sid: str, reason: str) -> None:
    """Forget a client."""
    rooms.pop(sid, None)


for each in (join, message, echo, disconnect):
    server.on(each.__name__, each)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
config = uvicorn.Config(
    socketio.ASGIApp(server),
    loop="uvloop",
    http="httptools",
    ws="websockets-sansio",
    ws_per_message_deflate=False,
    backlog=4096,
    lifespan="off",
    log_level="warning",
    access_log=False,
)
listener.listen(4096)
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(config).run(sockets=[listener])
