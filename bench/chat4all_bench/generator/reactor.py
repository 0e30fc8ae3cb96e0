"""One epoll and one clock: what is ready, and what is due."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE: Final = 64
"""Descriptors that are served between two looks at the clock: about half a millisecond."""
SHORT: Final = 0.002
"""Seconds. epoll waits in whole milliseconds; shorter waits are made by select, on the epoll."""
LONG: Final = 1.0
IN: Final = select.EPOLLIN
OUT: Final = select.EPOLLOUT


class Ready(Protocol):
    """Who has a descriptor."""

    def on_ready(self, events: int) -> None:
        """Something is to be read, or may be written."""
        ...


class Reactor:
    """Runs until it is told to stop. Nothing in it waits for anything else."""

    def __init__(self) -> None:
        self._epoll = select.epoll()  # an early descriptor: select takes only those below 1024
        self._owners: dict[int, Ready] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._flush: list[Callable[[], None]] = []
        self._running = True

    def register(self, fd: int, owner: Ready, events: int = IN) -> None:
        """Tell `owner` when the descriptor is ready, as often as it is."""
        self._owners[fd] = owner
        self._epoll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Ask for other events; 0 asks for none."""
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
        del self._owners[fd]
        self._epoll.unregister(fd)

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Do something at that time of the monotonic clock."""
        heapq.heappush(self._due, (when, next(self._order), do))

    def after_reading(self, do: Callable[[], None]) -> None:
        """Do something once what is ready now has been read."""
        self._flush.append(do)

    def stop(self) -> None:
        """Make `run` return."""
        self._running = False

    def run(self) -> None:
        """Serve descriptors and the clock."""
        due, owners = self._due, self._owners
        poll, clock = self._epoll.poll, time.monotonic
        while self._running:
            wait = LONG
            if due:
                wait = due[0][0] - clock()
                if 0 < wait < SHORT:
                    select.select([self._epoll], (), (), wait)
                    wait = 0
            for fd, events in poll(max(0.0, min(wait, LONG)), AT_ONCE):
                if (owner := owners.get(fd)) is not None:  # who was served before may end others
                    owner.on_ready(events)
            if self._flush:
                self._flush, now = [], self._flush
                for do in now:
                    do()
            while due and due[0][0] <= clock():
                heapq.heappop(due)[2]()
                if self._flush:
                    break  # they come before what else is due
