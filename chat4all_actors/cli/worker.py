"""A worker: a node in a process of its own. Its parent starts it; see `worker_process`.

It drains and ends when its parent says so, when its parent has died, and on SIGTERM.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from ..logs import configure
from .listening import Doors
from .main import INTERNAL, OK, CommandError, first_error
from .serving import fit_to_limits, open_node
from .worker_process import Orders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

logger = logging.getLogger(__name__)

PARENT: Final = 0
"""The descriptor of standard input, on which the parent keeps its hand."""


class Worker:
    """The process, from its orders to its end."""

    def __init__(self, orders: Orders, tell: Callable[[dict[str, object]], None]) -> None:
        self._orders = orders
        self._tell = tell
        self._told = trio.Event()
        self._starting = trio.CancelScope()
        self._up = False

    async def run(self) -> None:
        """Serve until told to end, then drain.

        Raises:
            CommandError: the node can't start.
        """
        doors = Doors(_inherited(self._orders.public), _inherited(self._orders.admin))
        settings = fit_to_limits(self._orders.settings)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed_signals, signals)
                nursery.start_soon(self._heed_parent)
                nursery.start_soon(self._give_up_start)
                with self._starting:
                    async with open_node(settings, doors=doors) as running:
                        self._up = True
                        self._tell({"ready": True})
                        await self._told.wait()
                        self._tell({"leaving": True})
                        await running.node.drain()
                nursery.cancel_scope.cancel()

    async def _heed_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            logger.info("%s: draining", signal.Signals(number).name)
            self._told.set()

    async def _heed_parent(self) -> None:
        """Wait for the end of its pipe: it wants us to end, or has died."""
        while True:
            await trio.lowlevel.wait_readable(PARENT)
            if not os.read(PARENT, 1024):
                break
        self._told.set()

    async def _give_up_start(self) -> None:
        await self._told.wait()
        if not self._up:
            self._starting.cancel()


def _inherited(descriptors: list[int]) -> list[socket.socket]:
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.set_inheritable(False)
    return sockets


def main() -> int:
    """Run a worker; return its exit code."""
    said = sys.stdin.buffer.readline()
    if not said:
        return OK  # the parent has died already
    orders = msgspec.json.decode(said, type=Orders)
    configure(orders.settings.log_format, orders.settings.log_level, worker=orders.number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's, who restarts one after the other
    # What is printed by mistake is no message to the parent.
    to_parent = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: dict[str, object]) -> None:
        with suppress(BrokenPipeError):  # it has died: its other pipe says so too
            os.write(to_parent, msgspec.json.encode(message) + b"\n")

    try:
        trio.run(Worker(orders, tell).run)
    except BaseException as raised:
        error = first_error(raised)
        if isinstance(error, CommandError):
            tell({"error": [error.message, error.mend, error.code]})
            return error.code
        logger.exception("the worker failed")
        return INTERNAL
    return OK


if __name__ == "__main__":
    sys.exit(main())
