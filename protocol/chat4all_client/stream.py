"""The events as the application reads them, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from .errors import ClientClosed
from .wake import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine
    from .events import Event


class EventStream:
    """The events of a client, in order, for one task; see `Client.events`."""

    def __init__(self, engine: Engine, given: Callable[[], None]) -> None:
        """For the client. `given` is called when the engine was given something to do."""
        self._engine = engine
        self._given = given
        self._news = Signal()
        self._reading = False
        self._yielded: Event | None = None

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        if self._reading:
            raise trio.BusyResourceError("another task is reading the events")
        self._reading = True
        try:
            self._settle()
            await trio.lowlevel.checkpoint()
            while True:
                event = self._engine.next_event(trio.current_time())
                if event is not None:
                    self._yielded = event
                    self._given()
                    return event
                if isinstance(self._engine.error, ClientClosed):
                    raise StopAsyncIteration
                if self._engine.error is not None:
                    raise self._engine.error
                await self._news.wait()
        finally:
            self._reading = False

    def _settle(self) -> None:
        """The last event was handled."""
        event, self._yielded = self._yielded, None
        if event is not None:
            self._engine.handled(event, trio.current_time())
            self._given()

    def _wake(self) -> None:
        """There may be another event, or none any more."""
        self._news.set()
