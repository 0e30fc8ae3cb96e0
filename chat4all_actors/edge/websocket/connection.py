"""One WebSocket: frames between the transport and the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chat4all_protocol.codes import CloseCode

from ...rfc6455 import (
    CloseReceived,
    FrameDecoder,
    Ping,
    Violation,
    close_frame,
    ping_frame,
    pong_frame,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ...rfc6455 import Event
    from ...session.session import Session
    from ..transport import Transport


MAX_QUEUED_FOR_PONG: Final = 16 * 1024
"""Bytes: a client that pings but does not read gets no more pongs."""


class WebSocketConnection:
    """The session's `Outlet`, and the reader of its socket."""

    __slots__ = ("_cancel", "_close_sent", "_decoder", "_session", "_transport")

    _session: Session

    def __init__(self, transport: Transport, max_message: int, cancel: Callable[[], None]) -> None:
        """`cancel` ends the task that runs this connection."""
        self._transport = transport
        self._decoder = FrameDecoder(max_message)
        self._cancel = cancel
        self._close_sent = False

    async def run(self, session: Session, received: bytes) -> None:
        """Serve until the connection ends; `received` came with the opening handshake.

        What is kept by the corked transport goes out with the greeting.
        """
        self._session = session
        self._transport.watch(on_drained=session.drained, on_broken=self._cancel)
        try:
            session.start()
            self._transport.uncork()
            if not received or await self._first(received):
                await self._transport.pour(self._take)
            await self._transport.finish()
        except Exception:
            # A fault of ours: the client is told to come back, the supervisor gets the rest.
            session.close_internal()
            raise
        finally:
            session.ended()

    async def _first(self, received: bytes) -> bool:
        answer = self._take(received)
        return answer if isinstance(answer, bool) else await answer

    def _take(self, data: bytes) -> bool | Awaitable[bool]:
        """Hand over what `data` completes; False when the other side has closed."""
        session = self._session
        session.touched()
        events = iter(self._decoder.receive_data(data))
        for event in events:
            if type(event) is bytes:
                wait = session.begin(event)
                if wait is not None:
                    return self._take_patiently(wait, events)
            elif not self._control(event):
                return False
        return True

    async def _take_patiently(self, wait: Awaitable[None], events: Iterator[Event]) -> bool:
        """The same for the other `events`, when `wait` is over."""
        await wait
        for event in events:
            if type(event) is bytes:
                await self._session.receive(event)
            elif not self._control(event):
                return False
        return True

    def _control(self, event: Event) -> bool:
        if isinstance(event, Ping):
            if not self._close_sent and self._transport.queued < MAX_QUEUED_FOR_PONG:
                self._transport.send_nowait(pong_frame(event.payload))
        elif isinstance(event, CloseReceived):
            if not self._close_sent:
                self._close_sent = True
                self._transport.send_nowait(close_frame(event.code))
            return False
        elif isinstance(event, Violation):
            self._session.close(CloseCode(event.code), event.reason)
            return False
        return True

    # --- as an `Outlet` -----------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """See `outlet.Outlet`."""
        return self._transport.queued

    @property
    def stalled_since(self) -> float | None:
        """See `outlet.Outlet`."""
        return self._transport.stalled_since

    def send_nowait(self, data: bytes) -> None:
        """See `outlet.Outlet`."""
        if not self._close_sent:
            self._transport.send_nowait(data)

    def offer(self, data: bytes, most: int) -> bool:
        """See `outlet.Outlet`."""
        return self._close_sent or self._transport.offer(data, most)

    def cork(self) -> None:
        """See `outlet.Outlet`."""
        self._transport.cork()

    def uncork(self) -> None:
        """See `outlet.Outlet`."""
        self._transport.uncork()

    async def room(self, below: int) -> None:
        """See `outlet.Outlet`."""
        await self._transport.room(below)

    def ping(self) -> None:
        """See `outlet.Outlet`."""
        self.send_nowait(ping_frame())

    def close(self, code: int, reason: str, *, discard: bool = False) -> None:
        """See `outlet.Outlet`."""
        if self._close_sent:
            return
        if discard:
            self._transport.discard_queue()
        self._close_sent = True
        self._transport.send_nowait(close_frame(code, reason))
        self._transport.uncork()

    def abort(self) -> None:
        """See `outlet.Outlet`."""
        self._cancel()
