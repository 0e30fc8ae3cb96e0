"""An edge on a real socket, and raw clients of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import trio

from chat4all_actors.config import Settings
from chat4all_actors.edge.http.health import Health
from chat4all_actors.edge.http.transfers import Transfers
from chat4all_actors.edge.listener import Edge
from chat4all_actors.edge.pump import Pump
from chat4all_actors.edge.sockets import open_listeners
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.kernel import Pool
from chat4all_actors.limits.limits import Limits
from chat4all_actors.session.heartbeat import Heartbeat

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator

    from hypercorn.typing import ASGIFramework

    from chat4all_actors.edge.http.part_upload import JudgeHead
    from chat4all_actors.session.services import Services
    from chat4all_storage.local.objects import LocalObjects

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"\x88\x80\0\0\0\0"
"""A close frame of a client."""


class House:
    """An edge with its pools, and clients of it."""

    def __init__(
        self, nursery: trio.Nursery, listener: socket.socket, admin: socket.socket
    ) -> None:
        self.nursery = nursery
        self.listener = listener
        self.address = listener.getsockname()
        self.admin_address = admin.getsockname()
        self.faults: list[tuple[str, BaseException]] = []
        self.connections = Pool("connections", on_fault=self._on_fault)
        self.senders = Pool("senders", on_fault=self._on_fault)
        self.pump = Pump()
        self.clients: list[trio.SocketStream] = []
        self.edge: Edge
        self.transfers: Transfers | None = None

    def _on_fault(self, name: str, error: BaseException) -> None:
        self.faults.append((name, error))

    async def connect(self, data: bytes = b"", *, admin: bool = False) -> trio.SocketStream:
        address = self.admin_address if admin else self.address
        stream = await trio.open_tcp_stream(*address[:2])
        self.clients.append(stream)
        if data:
            await stream.send_all(data)
        return stream

    async def ask(self, data: bytes = b"", *, admin: bool = False) -> bytes:
        """Everything that is answered until the server closes."""
        stream = await self.connect(data, admin=admin)
        answer = await everything(stream)
        await stream.aclose()
        return answer

    async def upgrade(self) -> trio.SocketStream:
        stream = await self.connect(UPGRADE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = await stream.receive_some()
            assert data
            answer += data
        assert answer.startswith(b"HTTP/1.1 101 ")
        return stream


async def everything(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """An application without anything."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def house(
    *,
    tls: ssl.SSLContext | None = None,
    unready: str | None = None,
    listener: socket.socket | None = None,
    app: ASGIFramework = nothing_here,
    objects: LocalObjects | None = None,
    judge_head: JudgeHead | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """An edge that accepts; at the end nothing has failed, and nothing is open."""
    if listener is None:
        (listener,) = open_listeners("127.0.0.1", 0)
    chosen = Settings(**settings)
    transfers = None
    if objects is not None:
        transfers = Transfers(objects, chosen, judge_head=judge_head)
    services = SimpleNamespace(
        settings=chosen,
        limits=Limits(chosen),
        node_id="node",
        heartbeat=Heartbeat(),
        local=LocalReaders(),
        presence=SimpleNamespace(leave=lambda session: None),
        wall_clock=lambda: 1000.0,
    )
    (admin,) = open_listeners("127.0.0.1", 0)
    with listener, admin:
        async with trio.open_nursery() as nursery:
            made = House(nursery, listener, admin)
            made.transfers = transfers
            made.edge = Edge(
                cast("Services", services),
                connections=made.connections,
                senders=made.senders,
                pump=made.pump,
                tls=tls,
                health=Health(lambda: unready, list),
                app=app,
                transfers=transfers,
            )
            await nursery.start(made.senders.run)
            await nursery.start(made.pump.run)
            await nursery.start(made.connections.run)
            await nursery.start(made.edge.run, [listener], [admin])
            try:
                yield made
            finally:
                for client in made.clients:
                    with trio.CancelScope(shield=True):
                        await client.aclose()
            await made.edge.wait_empty()
            assert made.edge.sessions == {}
            nursery.cancel_scope.cancel()
    assert made.faults == []
