"""Accept connections, read the request's head, and hand over: to a session or an HTTP answer."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from ..kernel import Pool, PoolClosed
from ..session import Session
from .connection import WebSocketConnection
from .handshake import Accept, BadRequest, HeadReader, RequestHead, decide_upgrade, error_response
from .http import respond
from .transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from ..kernel import Member
    from ..session import Services

logger = logging.getLogger(__name__)

BACKLOG: Final = 4096
ACCEPT_BATCH: Final = 64
"""Connections accepted before other tasks get a turn."""
# Out of descriptors or memory: those in use are given back sooner or later.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_PAUSE: Final = 0.1
RETRY_AFTER: Final = 5
"""Seconds that a refused client is told to wait."""


def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`; with port 0 all on one free port.

    Raises:
        OSError: the host has no address here, or the port is in use.
    """
    infos = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port or (listeners[0].getsockname()[1] if len(listeners) > 1 else 0)
            listener.bind((address[0], chosen, *address[2:]))
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


class Edge:
    """The node's door. Its connections live in pools of their own; this only lets them in."""

    def __init__(
        self,
        services: Services,
        *,
        connections: Pool,
        senders: Pool,
        tls: ssl.SSLContext | None,
        unready: Callable[[], str | None],
        degraded: Callable[[], list[str]],
    ) -> None:
        """`unready` tells what keeps the node from accepting work, or None.

        `degraded` tells what does not work as it should beside that.
        """
        self._services = services
        self._connections = connections
        self._senders = senders
        self._tls = tls
        self._unready = unready
        self._degraded = degraded
        self._emptied = trio.lowlevel.ParkingLot()
        self._open = 0
        self._shaking_hands = 0
        self._accepting = trio.CancelScope()
        self.sessions: dict[Session, None] = {}
        self.refused = 0

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self._open

    async def run(
        self,
        listeners: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled, or until told to `stop_accepting`; then idle."""
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept, listener)
                task_status.started()
        for listener in listeners:
            listener.close()  # who comes now is refused at once, and goes elsewhere
        await trio.sleep_forever()

    def stop_accepting(self) -> None:
        """Let nobody in any more."""
        self._accepting.cancel()

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self._open:
            await self._emptied.park()

    def closed(self) -> None:
        """For connections: one has closed."""
        self._open -= 1
        if not self._open:
            self._emptied.unpark_all()

    async def _accept(self, listener: socket.socket) -> NoReturn:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPT_BATCH):
                try:
                    sock, _address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        logger.error("can't accept connections: %s", error.strerror)
                        await trio.sleep(EXHAUSTED_PAUSE)
                        break
                    continue  # that client went away before it was accepted
                sock.setblocking(False)
                self._admit(sock)
            await trio.lowlevel.checkpoint()

    def _admit(self, sock: socket.socket) -> None:
        settings = self._services.settings
        if self._open >= settings.max_connections or self._shaking_hands >= settings.max_handshakes:
            self.refused += 1
            if self._tls is None:
                _refuse(sock, "this node holds as many connections as it may")
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self, sock)
        # Counted here, not in its task: a whole batch is admitted before the first of them runs.
        self._open += 1
        self._shaking_hands += 1
        try:
            connection.member = self._connections.start_soon("connection", connection.run)
        except PoolClosed:
            self._shaking_hands -= 1
            self.closed()
            sock.close()

    # --- for connections ----------------------------------------------------------------------

    def _spawn(self, send: Callable[[], Awaitable[None]]) -> bool:
        try:
            self._senders.start_soon("sender", send)
        except PoolClosed:
            return False
        return True

    async def serve(self, sock: socket.socket, cancel: Callable[[], None]) -> None:
        """Serve one connection, from its first byte to its last."""
        services = self._services
        transport = Transport(sock, heartbeat=services.heartbeat, spawn=self._spawn)
        try:
            try:
                with trio.move_on_after(services.settings.head_timeout) as patience:
                    received = await self._greet(transport)
            finally:
                self._shaking_hands -= 1
            if patience.cancelled_caught:
                transport.send_nowait(error_response(408, "TIMEOUT", "the request took too long"))
                await transport.finish()
            elif received is not None:
                connection = WebSocketConnection(transport, services.settings.max_frame, cancel)
                session = Session(services, connection)
                self.sessions[session] = None
                try:
                    await connection.run(session, received)
                finally:
                    del self.sessions[session]
        finally:
            transport.close()

    async def _greet(self, transport: Transport) -> bytes | None:
        """Answer the request; what came after it, if it has become a WebSocket."""
        if self._tls is not None:
            try:
                await transport.handshake(self._tls)
            except OSError as error:
                logger.debug("no TLS: %s", error)
                return None
        reader = HeadReader(self._services.settings.max_head)
        try:
            head: RequestHead | None = None
            while head is None:
                data = await transport.receive()
                if not data:
                    return None
                head = reader.receive_data(data)
        except BadRequest as error:
            response = error.response()
        else:
            if head.path == "/ws":
                answer = decide_upgrade(
                    head, allowed_origins=self._services.settings.allowed_origins
                )
                if isinstance(answer, Accept):
                    transport.send_nowait(answer.response)
                    return reader.trailing
                response = answer.response
            else:
                response = respond(head, unready=self._unready, degraded=self._degraded)
        transport.send_nowait(response)
        await transport.finish()
        return None


class _Connection:
    """One connection's task."""

    __slots__ = ("_edge", "_sock", "member")

    def __init__(self, edge: Edge, sock: socket.socket) -> None:
        self._edge = edge
        self._sock = sock
        self.member: Member | None = None

    async def run(self) -> None:
        """Live from accept to close."""
        try:
            await self._edge.serve(self._sock, self.cancel)
        finally:
            self._edge.closed()

    def cancel(self) -> None:
        """End the task."""
        if self.member is not None:
            self.member.cancel()


def _refuse(sock: socket.socket, why: str) -> None:
    """Say that there is no room, if the client listens at once."""
    response = error_response(503, "UNAVAILABLE", why, retry_after=RETRY_AFTER)
    try:
        sock.send(response)
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        logger.debug("a refusal was not heard: %s", error)
