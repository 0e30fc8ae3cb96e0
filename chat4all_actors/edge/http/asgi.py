"""Running an ASGI application for one request: its inbox, its task, and its start."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from hypercorn.config import Config
    from hypercorn.typing import (
        AppWrapper,
        ASGIReceiveEvent,
        ASGISendEvent,
        Scope,
    )

    from ...kernel import LowPriority

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 4
"""Pieces of a body that wait for the application; the socket is read no further then."""


class Inbox:
    """What a request still has to tell its application.

    Unlike a channel it never keeps waiting whoever tells it that the request is over, and lets go
    of whoever waits for room then: an application need not read what it does not want.
    """

    __slots__ = ("_events", "_filled", "_over", "_roomy")

    def __init__(self) -> None:
        self._events: deque[ASGIReceiveEvent] = deque()
        self._over = False
        self._filled = trio.lowlevel.ParkingLot()
        self._roomy = trio.lowlevel.ParkingLot()

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Tell the application; waits for room, unless nothing is to be told any more."""
        if event["type"] == "http.disconnect":
            self._over = True
            self._events.clear()
            self._roomy.unpark_all()
        else:
            while len(self._events) >= MAX_WAITING and not self._over:
                await self._roomy.park()
            if self._over:
                return
            self._events.append(event)
        self._filled.unpark_all()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; `http.disconnect` from the end on."""
        while not self._events:
            if self._over:
                return {"type": "http.disconnect"}
            await self._filled.park()
        event = self._events.popleft()
        self._roomy.unpark_all()
        return event


class Applications:
    """The tasks that answer one connection's requests; hypercorn's `TaskGroup`."""

    def __init__(self, nursery: trio.Nursery, low_priority: LowPriority) -> None:
        """They give way to tasks that are not of `low_priority`."""
        self._nursery = nursery
        self._low_priority = low_priority

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application for one request; what is returned tells it events."""
        inbox = Inbox()
        self._nursery.start_soon(self._low_priority.run, _run, app, scope, inbox, send)
        return inbox.put

    def spawn(self, func: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task of the protocol's; HTTP/1.1 has none."""
        self._nursery.start_soon(func, *args)

    def cancel(self) -> None:
        """Break off those that are at work."""
        self._nursery.cancel_scope.cancel()

    async def __aenter__(self) -> Applications:
        return self

    async def __aexit__(
        self, exc_type: type, exc_value: BaseException, traceback: TracebackType
    ) -> None:
        """The nursery is its owner's."""


async def _run(
    app: AppWrapper,
    scope: Scope,
    inbox: Inbox,
    send: Callable[[ASGISendEvent | None], Awaitable[None]],
) -> None:
    try:
        await app(scope, inbox.receive, send, trio.to_thread.run_sync, trio.from_thread.run)
    except Exception:
        # A fault of the `Front` itself, or an answer that breaks HTTP: one request, not the node.
        logger.exception("a request was not answered as it should be")
    await send(None)  # so that an answer that is not whole ends the connection
