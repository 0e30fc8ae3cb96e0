"""Connections between a client and the model server, in memory, that can be made to fail."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from chat4all_client import Client, Msg, TextBody
from chat4all_client.transport import TransportClosed
from tests.client.model import ModelServer, ModelSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from chat4all_client import EventStream
    from chat4all_client.transport import Transport
    from chat4all_protocol import frames as f

Connect: TypeAlias = "Callable[..., AbstractAsyncContextManager[Client]]"
"""Opens a client on a `Network`; takes the settings of `open_client`."""


class Session(ModelSession):
    """A session whose client waits on trio."""

    def __init__(self, server: ModelServer) -> None:
        self.moved = trio.Event()
        super().__init__(server)

    def send(self, frame: f.ServerFrame) -> None:
        super().send(frame)
        self.moved.set()

    def end(self, code: int = 1006, reason: str = "") -> None:
        super().end(code, reason)
        self.moved.set()


class MemoryTransport:
    """A `Transport` that ends in a session."""

    def __init__(self, network: Network, session: Session) -> None:
        self.network = network
        self.session = session

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.session.closed is not None:
            raise TransportClosed(None, "")
        if not self.network.deaf:
            self.session.receive(data)

    async def receive(self) -> bytes:
        session = self.session
        while self.network.mute or (not session.out and session.closed is None):
            session.moved = trio.Event()
            await session.moved.wait()
        await trio.lowlevel.checkpoint()
        if session.out:
            return session.out.popleft()
        assert session.closed is not None
        code, reason = session.closed
        raise TransportClosed(None if code == 1006 else code, reason)


class Network:
    """What lies between; a test reaches in here."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.sessions: list[Session] = []
        self.failures: list[Exception] = []
        """Raised by the next attempts to connect."""
        self.deaf = False
        """What the client sends gets lost."""
        self.mute = False
        """What the server sends does not arrive."""
        self.attempts: list[float] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Transport]:
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.failures:
            raise self.failures.pop(0)
        session = Session(self.server)
        self.sessions.append(session)
        try:
            yield MemoryTransport(self, session)
        finally:
            session.end()

    @property
    def session(self) -> Session:
        """The one that is live."""
        return next(session for session in self.sessions if session.live)

    def sent(self, kind: type[Any]) -> list[Any]:
        """What the server received of this kind, over all connections."""
        return [frame for frame in self.server.received if isinstance(frame, kind)]


async def messages(events: EventStream, count: int) -> list[str]:
    """The texts of the next `count` messages."""
    found: list[str] = []
    async for event in events:
        if isinstance(event, Msg) and isinstance(event.body, TextBody):
            found.append(event.body.text)
            if len(found) == count:
                break
    return found
