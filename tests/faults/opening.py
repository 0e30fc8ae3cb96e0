"""From nothing to `ready`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack  # type: ignore[import-untyped]
import trio
from msgspec import Struct
from trio_websocket import ConnectionClosed, ConnectionRejected, wrap_client_stream

from tests.faults.line import Line

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

OPEN_TIMEOUT: Final = 5.0
"""Seconds from connecting to `ready`, after which a client tries again."""
MAX_FRAME: Final = 4 * 1024 * 1024


class NotNow(Exception):
    """There is no session: nobody is there, or `connect` was refused."""

    def __init__(self, retry_after: float = 0.0) -> None:
        super().__init__()
        self.retry_after = retry_after


class Opened(Struct, frozen=True):
    """A connection that got its `ready`."""

    node: int
    line: Line
    socket: WebSocketConnection
    cursors: dict[str, int]
    asked: float
    ready: dict[str, Any]

    @property
    def heads(self) -> dict[str, int]:
        """Where each conversation stands."""
        return {state["conv"]: state["head"] for state in self.ready["convs"]}

    @property
    def starts(self) -> dict[str, int]:
        """Where each conversation begins for this session."""
        heads = self.heads
        return {conv: min(head, self.cursors.get(conv, head)) for conv, head in heads.items()}


async def open_session(
    nursery: trio.Nursery, port: int, node: int, token: str, device: str, cursors: dict[str, int]
) -> Opened:
    """Connect to a node, up to its `ready`. What reads the connection runs in `nursery`.

    Raises:
        NotNow: there is no session to be had.
    """
    asked = trio.current_time()
    connected = trio.socket.socket()
    opened: Opened | None = None
    try:
        with trio.move_on_after(OPEN_TIMEOUT) as patience:
            await connected.connect(("127.0.0.1", port))
            line = Line(connected, patience.cancel)
            socket: WebSocketConnection = await nursery.start(_shake_hands, line)
            assert (await next_frame(socket))["t"] == "hello"
            connect = {"t": "connect", "token": token, "device": device, "cursors": cursors}
            await socket.send_message(msgpack.packb(connect))
            ready = await next_frame(socket)
            if ready["t"] == "error":
                raise NotNow(ready.get("retry_after_ms", 0) / 1000)
            assert ready["t"] == "ready", ready
            line.settled = True
            opened = Opened(node, line, socket, cursors, asked, ready)
            return opened
        raise NotNow
    except (OSError, trio.BrokenResourceError, ConnectionClosed) as error:
        raise NotNow from error
    finally:
        if opened is None:
            connected.close()


async def _shake_hands(line: Line, *, task_status: trio.TaskStatus[WebSocketConnection]) -> None:
    """Open a WebSocket, and read it to its end.

    The library raises a refusal where it reads, and not where the handshake is waited for.

    Raises:
        NotNow: the server refuses the handshake, as a node does that drains.
    """
    refused = False
    try:
        async with trio.open_nursery() as reading:
            socket = await wrap_client_stream(
                reading,
                line,  # type: ignore[arg-type]  # any stream will do
                "127.0.0.1",
                "/ws",
                subprotocols=["chat4all.v1"],
                max_message_size=MAX_FRAME,
            )
            task_status.started(socket)
    except* ConnectionRejected:
        refused = True
    if refused:
        raise NotNow


async def next_frame(socket: WebSocketConnection) -> dict[str, Any]:
    """The next frame that comes.

    Raises:
        ConnectionClosed: none does.
    """
    frame: dict[str, Any] = msgpack.unpackb(await socket.get_message())
    return frame
