"""Accepts connections, and hands each to what its first request makes of it."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import trio

from ..kernel import LowPriority, Pool, PoolClosed
from ..session.session import Session
from .doorkeeper import RETRY_AFTER, Doorkeeper
from .greeting import Greeter, Requests, Upgrade
from .http.addresses import Proxies
from .http.answers import refusal
from .http.connection import HttpServer
from .http.errors import Refused
from .http.front import Front
from .http.rules import RequestRules
from .patience import Patience
from .transport import Transport
from .websocket.connection import WebSocketConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from hypercorn.typing import ASGIFramework

    from ..kernel import Member
    from ..session.services import Services
    from .http.health import Health
    from .http.transfers import Transfers
    from .pump import Pump

logger = logging.getLogger(__name__)
_Address: TypeAlias = "tuple[Any, ...]"

ACCEPT_BATCH: Final = 8
"""Connections accepted before other tasks get a turn: greeting one takes 0.2 ms."""
# Out of descriptors or memory: those in use are given back sooner or later.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_PAUSE: Final = 0.1
MAX_ADMIN_CONNECTIONS: Final = 64


class Edge:
    """The node's door. Its connections live in pools of their own; this only lets them in."""

    def __init__(
        self,
        services: Services,
        *,
        connections: Pool,
        senders: Pool,
        pump: Pump,
        tls: ssl.SSLContext | None,
        health: Health,
        app: ASGIFramework,
        transfers: Transfers | None = None,
    ) -> None:
        """`app` answers what is neither a WebSocket nor a question for `health`.

        `transfers` come before it, where files are served from a directory.
        """
        self._services = services
        self._connections = connections
        self._senders = senders
        self._pump = pump
        self._tls = tls
        self._emptied = trio.lowlevel.ParkingLot()
        self._open = 0
        self._admin_open = 0
        self._shaking_hands = 0
        self._accepting = trio.CancelScope()
        self._patience = Patience()
        self.low_priority = LowPriority()
        """What gives way to the sessions."""
        settings = services.settings
        self._doorkeeper = Doorkeeper(settings, services.limits, self._patience)
        proxies = Proxies(settings.trusted_proxies, forwarded=settings.proxy_header == "forwarded")
        rules = RequestRules(settings)
        self._greeter = Greeter(
            settings,
            rules=rules,
            proxies=proxies,
            tls=tls,
            health=health,
            patience=self._patience,
        )
        front = Front(app, settings)
        self._http = HttpServer(
            front,
            settings,
            rules=rules,
            proxies=proxies,
            tls=tls is not None,
            plain=self._greeter.answer_later,
            refused=front.log_refusal,
            low_priority=self.low_priority,
            transfers=transfers,
        )
        self._spawn_sender = self._spawn  # bound once, not once for each transport
        self.sessions: dict[Session, str] = {}
        """All there are, and where their clients are."""
        self._no_room = 0

    @property
    def refused(self) -> int:
        """How many clients were turned away because there were too many."""
        return self._no_room + self._doorkeeper.refused

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
        try:
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
        finally:
            self.low_priority.close()

    def stop_accepting(self) -> None:
        """Let nobody in any more, become nobody's new WebSocket, and answer no further requests."""
        self._accepting.cancel()
        self._http.drain()
        self._patience.end()

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
        self, listener: socket.socket, admit: Callable[[socket.socket, _Address], None]
    ) -> NoReturn:
        more = False
        while True:
            if not more:
                await trio.lowlevel.wait_readable(listener)
            more = False
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
                admit(sock, address)
            else:
                more = True
            await trio.lowlevel.checkpoint()

    def _admit(self, sock: socket.socket, address: _Address) -> None:
        settings = self._services.settings
        if self._open >= settings.max_connections or self._shaking_hands >= settings.max_handshakes:
            self._no_room += 1
            if self._tls is None:
                _refuse(sock, "this node holds as many connections as it may")
            sock.close()
            return
        # Counted here, not in its task: a whole batch is admitted before the first of them runs.
        self._open += 1
        self._shaking_hands += 1
        if not self._start(sock, address, admin=False):
            self._shaking_hands -= 1

    def _admit_admin(self, sock: socket.socket, address: _Address) -> None:
        if self._admin_open >= MAX_ADMIN_CONNECTIONS:
            sock.close()
            return
        self._admin_open += 1
        self._start(sock, address, admin=True)

    def _start(self, sock: socket.socket, address: _Address, *, admin: bool) -> bool:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self, sock, (address[0], address[1]), admin=admin)
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

    def transport(self, sock: socket.socket) -> Transport:
        """The transport of a new connection."""
        heartbeat = self._services.heartbeat
        return Transport(sock, heartbeat=heartbeat, spawn=self._spawn_sender, pump=self._pump)

    async def greet(
        self, transport: Transport, peer: tuple[str, int], cancel: Callable[[], None]
    ) -> tuple[WebSocketConnection, Session, bytes] | None:
        """What a client's connection becomes, if that is a session, with what has come of it.

        Anything else has been served when this returns. The session is one of `sessions`.
        """
        try:
            greeting = await self._greeter.greet(transport, peer[0])
        finally:
            self._shaking_hands -= 1
        if isinstance(greeting, Upgrade):
            return await self._let_in(transport, greeting, cancel)
        if isinstance(greeting, Requests):
            await self._http.serve(transport, greeting.received, peer, cancel)
        else:
            await _end(transport, greeting)
        return None

    async def _let_in(
        self, transport: Transport, upgrade: Upgrade, cancel: Callable[[], None]
    ) -> tuple[WebSocketConnection, Session, bytes] | None:
        address = upgrade.address
        try:
            await self._doorkeeper.let_in(address)
        except Refused as error:
            await _end(transport, refusal(error))
            return None
        transport.cork()  # for the greeting, which follows
        transport.send_nowait(upgrade.response)
        connection = WebSocketConnection(transport, self._services.settings.max_frame, cancel)
        session = Session(self._services, connection)
        logger.debug("a WebSocket from %s", address)
        self.sessions[session] = address
        return connection, session, upgrade.received

    def part(self, session: Session) -> None:
        """A session is over."""
        self._doorkeeper.leave(self.sessions.pop(session))

    async def serve_admin(self, transport: Transport) -> None:
        """Serve one plain request."""
        await _end(transport, await self._greeter.greet_admin(transport))


class _Connection:
    """One connection's task."""

    __slots__ = ("_admin", "_edge", "_peer", "_sock", "member")

    def __init__(
        self, edge: Edge, sock: socket.socket, peer: tuple[str, int], *, admin: bool
    ) -> None:
        self._edge = edge
        self._sock = sock
        self._peer: tuple[str, int] | None = peer
        """Until the client has been greeted."""
        self._admin = admin
        self.member: Member | None = None

    async def run(self) -> None:
        """Live from accept to close.

        A session is run from here, when what has greeted its client is off the stack: it may sleep
        for days, with all that is still referred to.
        """
        edge, peer = self._edge, self._peer
        self._peer = None
        transport = edge.transport(self._sock)
        try:
            if self._admin:
                await edge.serve_admin(transport)
                return
            assert peer is not None  # it runs once
            opened = await edge.low_priority.run(edge.greet, transport, peer, self.cancel)
            del peer
            if opened is not None:
                connection, session, received = opened
                del opened
                try:
                    await connection.run(session, received)
                finally:
                    edge.part(session)
        finally:
            transport.close()
            edge.closed(admin=self._admin)

    def cancel(self) -> None:
        """End the task."""
        if self.member is not None:
            self.member.cancel()


async def _end(transport: Transport, response: bytes | None) -> None:
    if response is not None:
        transport.send_nowait(response)
        await transport.finish()


def _refuse(sock: socket.socket, why: str) -> None:
    """Say that there is no room, if the client listens at once."""
    try:
        sock.send(refusal(Refused(503, why, retry_after=RETRY_AFTER)))
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        logger.debug("a refusal was not heard: %s", error)
