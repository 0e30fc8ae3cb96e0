"""Accept connections, read the request's head, and hand over: to a session or an HTTP answer."""

from __future__ import annotations

import errno
import logging
import math
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from ..admission import Gate, Overloaded
from ..kernel import Pool, PoolClosed
from ..limits.limits import HANDSHAKES
from ..session import Session
from .connection import WebSocketConnection
from .handshake import Accept, BadRequest, HeadReader, RequestHead, decide_upgrade, error_response
from .http import respond
from .transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ..kernel import Member
    from ..services import Services

logger = logging.getLogger(__name__)

BACKLOG: Final = 4096
ACCEPT_BATCH: Final = 64
"""Connections accepted before other tasks get a turn."""
# Out of descriptors or memory: those in use are given back sooner or later.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_PAUSE: Final = 0.1
MAX_ADMIN_CONNECTIONS: Final = 64
STOP_PATIENCE: Final = 1.0
"""Seconds that a request may still take to come in when the node stops."""
RETRY_AFTER: Final = 5
"""Seconds that a refused client is told to wait."""


def open_listeners(host: str, port: int, *, share: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of `host`; with port 0 all on one free port.

    With `share`, this user's processes may open more sockets on the port: each has a queue of its
    own, and the kernel spreads new connections over them.

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
            if share:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
        self._admin_open = 0
        self._shaking_hands = 0
        self._greetings: dict[trio.CancelScope, None] = {}
        """The patience with each client that is no session yet."""
        self._accepting = trio.CancelScope()
        settings = services.settings
        self._gate = Gate(
            settings.handshake_rate, settings.handshake_burst, settings.handshake_patience
        )
        self.sessions: dict[Session, None] = {}
        self.refused = 0

    @property
    def open(self) -> int:
        """Clients' connections that are open."""
        return self._open

    async def run(
        self,
        listeners: Sequence[socket.socket],
        admin_listeners: Sequence[socket.socket] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled.

        When told to `stop_accepting`, only the `admin_listeners` go on, which serve no WebSocket.
        """
        async with trio.open_nursery() as nursery:
            for listener in admin_listeners:
                nursery.start_soon(self._accept, listener, self._admit_admin)
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, self._admit)
                    task_status.started()
            for listener in listeners:
                listener.close()  # who comes now is refused at once, and goes elsewhere
            await trio.sleep_forever()

    def stop_accepting(self) -> None:
        """Let nobody in any more, and become nobody's new WebSocket."""
        self._accepting.cancel()
        for greeting in self._greetings:
            greeting.deadline = min(greeting.deadline, trio.current_time() + STOP_PATIENCE)

    async def wait_empty(self) -> None:
        """Wait until no client's connection is open."""
        while self._open:
            await self._emptied.park()

    def closed(self, *, admin: bool = False) -> None:
        """For connections: one has closed."""
        if admin:
            self._admin_open -= 1
            return
        self._open -= 1
        if not self._open:
            self._emptied.unpark_all()

    async def _accept(
        self, listener: socket.socket, admit: Callable[[socket.socket, str], None]
    ) -> NoReturn:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPT_BATCH):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        logger.error("can't accept connections: %s", error.strerror)
                        await trio.sleep(EXHAUSTED_PAUSE)
                        break
                    continue  # that client went away before it was accepted
                sock.setblocking(False)
                admit(sock, address[0])
            await trio.lowlevel.checkpoint()

    def _admit(self, sock: socket.socket, address: str) -> None:
        settings = self._services.settings
        if self._open >= settings.max_connections or self._shaking_hands >= settings.max_handshakes:
            self.refused += 1
            if self._tls is None:
                _refuse(sock, "this node holds as many connections as it may")
            sock.close()
            return
        # Counted here, not in its task: a whole batch is admitted before the first of them runs.
        self._open += 1
        self._shaking_hands += 1
        if not self._start(sock, address, admin=False):
            self._shaking_hands -= 1

    def _admit_admin(self, sock: socket.socket, address: str) -> None:
        if self._admin_open >= MAX_ADMIN_CONNECTIONS:
            sock.close()
            return
        self._admin_open += 1
        self._start(sock, address, admin=True)

    def _start(self, sock: socket.socket, address: str, *, admin: bool) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self, sock, address, admin=admin)
        try:
            connection.member = self._connections.start_soon("connection", connection.run)
        except PoolClosed:
            self.closed(admin=admin)
            sock.close()
            return False
        return True

    # --- for connections ----------------------------------------------------------------------

    def _spawn(self, send: Callable[[], Awaitable[None]]) -> bool:
        try:
            self._senders.start_soon("sender", send)
        except PoolClosed:
            return False
        return True

    async def serve_client(
        self, sock: socket.socket, address: str, cancel: Callable[[], None]
    ) -> None:
        """Serve the connection of a client at `address`, from its first byte to its last."""
        services = self._services
        transport = self._transport(sock)
        try:
            try:
                response, received = await self._answer(transport, admin=False)
            finally:
                self._shaking_hands -= 1
            if received is None:
                await _respond(transport, response, last=True)
            elif not services.limits.connections.enter(address):
                self.refused += 1
                why = "this address holds as many connections as it may"
                await _respond(transport, _too_many(why, RETRY_AFTER), last=True)
            else:
                try:
                    if (refusal := self._pass_rate(address)) is None:
                        refusal = await self._pass_gate()
                    await _respond(transport, refusal or response, last=refusal is not None)
                    if refusal is None:
                        await self._serve_session(transport, received, cancel)
                finally:
                    services.limits.connections.leave(address)
        finally:
            transport.close()

    async def _serve_session(
        self, transport: Transport, received: bytes, cancel: Callable[[], None]
    ) -> None:
        connection = WebSocketConnection(transport, self._services.settings.max_frame, cancel)
        session = Session(self._services, connection)
        self.sessions[session] = None
        try:
            await connection.run(session, received)
        finally:
            del self.sessions[session]

    async def serve_admin(self, sock: socket.socket) -> None:
        """Serve one plain request."""
        transport = self._transport(sock)
        try:
            response, _ = await self._answer(transport, admin=True)
            await _respond(transport, response, last=True)
        finally:
            transport.close()

    def _transport(self, sock: socket.socket) -> Transport:
        return Transport(sock, heartbeat=self._services.heartbeat, spawn=self._spawn)

    async def _answer(
        self, transport: Transport, *, admin: bool
    ) -> tuple[bytes | None, bytes | None]:
        """The response to the request, and what came after it if it is to become a WebSocket.

        There is no response to a client that went away.
        """
        limit = self._services.settings.head_timeout
        with trio.move_on_after(limit) if admin else self._patience(limit) as patience:
            reader = HeadReader(self._services.settings.max_head)
            try:
                head = await self._read_head(transport, reader)
            except BadRequest as error:
                return error.response(), None
        if patience.cancelled_caught:
            if self._accepting.cancel_called:
                return _unavailable("this node is stopping"), None
            return error_response(408, "TIMEOUT", "the request took too long"), None
        if head is None:
            return None, None
        if head.path != "/ws" or admin:
            return respond(head, unready=self._unready, degraded=self._degraded), None
        answer = decide_upgrade(head, allowed_origins=self._services.settings.allowed_origins)
        return answer.response, reader.trailing if isinstance(answer, Accept) else None

    async def _read_head(self, transport: Transport, reader: HeadReader) -> RequestHead | None:
        if self._tls is not None:
            try:
                await transport.handshake(self._tls)
            except OSError as error:
                logger.debug("no TLS: %s", error)
                return None
        while data := await transport.receive():
            if (head := reader.receive_data(data)) is not None:
                return head
        return None

    def _pass_rate(self, address: str) -> bytes | None:
        """The response, if this address has opened too many WebSockets lately."""
        wait = self._services.limits.take(HANDSHAKES, address)
        if not wait:
            return None
        self.refused += 1
        return _too_many("too many connections from this address in short time", wait)

    async def _pass_gate(self) -> bytes | None:
        """Wait until another WebSocket may begin; or the response, if it may not."""
        try:
            wait = self._gate.take()
        except Overloaded as error:
            self.refused += 1
            return _unavailable("too many clients are connecting", error.retry_after)
        if wait:
            with self._patience(math.inf):
                await trio.sleep(wait)
        return _unavailable("this node is stopping") if self._accepting.cancel_called else None

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[trio.CancelScope]:
        """A scope of so many seconds; of few when the node stops."""
        if self._accepting.cancel_called:
            seconds = min(seconds, STOP_PATIENCE)
        with trio.move_on_after(seconds) as scope:
            self._greetings[scope] = None
            try:
                yield scope
            finally:
                del self._greetings[scope]


class _Connection:
    """One connection's task."""

    __slots__ = ("_address", "_admin", "_edge", "_sock", "member")

    def __init__(self, edge: Edge, sock: socket.socket, address: str, *, admin: bool) -> None:
        self._edge = edge
        self._sock = sock
        self._address = address
        self._admin = admin
        self.member: Member | None = None

    async def run(self) -> None:
        """Live from accept to close."""
        try:
            if self._admin:
                await self._edge.serve_admin(self._sock)
            else:
                await self._edge.serve_client(self._sock, self._address, self.cancel)
        finally:
            self._edge.closed(admin=self._admin)

    def cancel(self) -> None:
        """End the task."""
        if self.member is not None:
            self.member.cancel()


async def _respond(transport: Transport, response: bytes | None, *, last: bool) -> None:
    if response is not None:
        transport.send_nowait(response)
        if last:
            await transport.finish()


def _too_many(why: str, retry_after: float) -> bytes:
    return error_response(429, "RATE_LIMITED", why, retry_after=math.ceil(retry_after))


def _unavailable(why: str, retry_after: float = RETRY_AFTER) -> bytes:
    return error_response(503, "UNAVAILABLE", why, retry_after=math.ceil(retry_after))


def _refuse(sock: socket.socket, why: str) -> None:
    """Say that there is no room, if the client listens at once."""
    try:
        sock.send(_unavailable(why))
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        logger.debug("a refusal was not heard: %s", error)
