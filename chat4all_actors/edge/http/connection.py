"""How long everything on an HTTP connection may take, and how it ends.

| the client | has | then |
|---|---|---|
| begins another request | `keep_alive_timeout` | it is closed |
| sends the head | `head_timeout` from its first byte | 408 |
| sends the body | `body_grace`, more as it comes, at most `body_timeout` | 408 |
| takes 64 KiB of an answer | `write_timeout` | it is closed |

When the node stops, connections without a request are closed, those with one after its answer.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext

from ..patience import STOP_PATIENCE
from .asgi import Applications
from .errors import Refused
from .http1 import Http1, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.typing import ASGIFramework

    from ...config import Settings
    from ...kernel import LowPriority
    from ..transport import Transport
    from .addresses import Proxies
    from .head import RequestHead
    from .rules import RequestRules
    from .transfers import Asked, Transfers

logger = logging.getLogger(__name__)

HIGH_WATER: Final = 64 * 1024
"""Bytes of answers that may be queued; an application that sends more waits."""


class HttpServer:
    """The HTTP connections of a node."""

    def __init__(
        self,
        app: ASGIFramework,
        settings: Settings,
        *,
        rules: RequestRules,
        proxies: Proxies,
        tls: bool,
        plain: Callable[[RequestHead], bytes | None],
        refused: Callable[[RequestHead | None, int, str], None],
        low_priority: LowPriority,
        transfers: Transfers | None = None,
    ) -> None:
        """`plain`, `refused` and `transfers`: see `http1.Service`.

        Requests are answered in turns of `low_priority`; `serve` is to be called in one.
        """
        self._settings = settings
        self._service = Service(
            app=ASGIWrapper(app),
            config=_config(settings),
            context=WorkerContext(None),
            rules=rules,
            proxies=proxies,
            tls=tls,
            plain=plain,
            refused=refused,
            transfers=transfers,
        )
        self._low_priority = low_priority
        self._connections: dict[HttpConnection, None] = {}
        self._draining = False

    async def serve(
        self,
        transport: Transport,
        received: bytes,
        peer: tuple[str, int],
        cancel: Callable[[], None],
    ) -> None:
        """Serve a connection whose first request has come in as far as `received`.

        `cancel` ends the task that runs this.
        """
        async with trio.open_nursery() as nursery:
            tasks = Applications(nursery, self._low_priority)
            connection = HttpConnection(
                self._service, self._settings, transport, tasks, peer, cancel
            )
            connection.protocol.last = self._draining
            self._connections[connection] = None
            try:
                await connection.run(received)
            finally:
                del self._connections[connection]
        with trio.move_on_after(self._settings.write_timeout):
            await transport.finish()

    def drain(self) -> None:
        """Close the connections after the requests that they have."""
        self._draining = True
        for connection in list(self._connections):
            connection.drain()


class HttpConnection:
    """One connection's reader, and its clock."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        transport: Transport,
        tasks: Applications,
        peer: tuple[str, int],
        cancel: Callable[[], None],
    ) -> None:
        """The `tasks` are those of its requests alone."""
        self._service = service
        self._settings = settings
        self._transport = transport
        self._tasks = tasks
        self._peer = peer
        self.protocol = self._new_protocol()
        self._cancel = cancel
        self._over = trio.CancelScope()
        """The reading; cancelled when nothing more is to be read."""
        self._waiting: trio.CancelScope | None = None
        """The reading of what may come in time only."""
        self._stage = ""
        """What was waited for last; see `Http1.waits_for`."""
        self._since = trio.current_time()
        """When that began."""
        self._spent = 0.0
        """Seconds waited for the body; those in which nobody wanted it do not count."""

    async def run(self, received: bytes) -> None:
        """Serve requests until the last of them."""
        self._transport.watch(on_drained=_nothing, on_broken=self._over.cancel)
        with self._over:
            await self._read(received)
        if self.protocol.over:
            self._tasks.cancel()
        else:
            await self.protocol.handle(Closed())  # tells the application, if one is at work

    def drain(self) -> None:
        """End after the request that is under way, at once if there is none."""
        self.protocol.last = True
        if self._waiting is None:
            return
        if self.protocol.waits_for == "request":
            self._over.cancel()
        elif self.protocol.waits_for == "head":
            soon = trio.current_time() + STOP_PATIENCE
            self._waiting.deadline = min(self._waiting.deadline, soon)

    async def send(self, event: Event) -> None:
        """What the protocol wants: bytes sent, the connection closed, or to tell that it is idle.

        Waits while much is queued, and ends the connection when the client takes nothing.
        """
        if isinstance(event, RawData):
            self._transport.send_nowait(event.data)
            while (queued := self._transport.queued) >= HIGH_WATER:
                with trio.move_on_after(self._settings.write_timeout) as patience:
                    await self._transport.room(max(HIGH_WATER, queued - HIGH_WATER + 1))
                if patience.cancelled_caught:
                    logger.debug("a client took nothing of its answer for too long")
                    self._cancel()
                    await trio.sleep_forever()
        elif isinstance(event, Closed):
            self._over.cancel()
        elif isinstance(event, Updated):
            self._spent = 0.0
            if event.idle and self.protocol.last:
                self._over.cancel()
            elif event.idle and self._waiting is not None:
                self._waiting.deadline = self._deadline()

    def _new_protocol(self) -> Http1:
        local = self._transport.local_address
        return Http1(self._service, self._tasks, self._peer, local, self.send)

    async def _transfer(self, transfers: Transfers, asked: Asked) -> bytes | None:
        """Have a request served with the connection; see `Transfers.serve`."""
        behind = await transfers.serve(self._transport, asked, lambda: self.protocol.ends)
        former, self.protocol = self.protocol, self._new_protocol()
        self.protocol.keep_alive_requests = former.keep_alive_requests
        self.protocol.last = former.last
        self._stage = ""  # what is waited for now has not been waited for yet
        return behind

    async def _read(self, data: bytes) -> None:
        while True:
            await self.protocol.handle(RawData(data))
            if not data:
                break
            transfers, asked = self._service.transfers, self.protocol.handed_over
            if transfers is not None and asked is not None:
                behind = await self._transfer(transfers, asked)
                if behind is None:
                    return
                if behind:
                    data = behind
                    continue
            received = await self._receive()
            if received is None:
                return
            data = received
        # The client says no more, but may well listen to the answer.
        if self.protocol.stream is not None:
            await trio.sleep_forever()

    async def _receive(self) -> bytes | None:
        """What the client sends; None when it took too long, and was told so."""
        began = trio.current_time()
        with trio.CancelScope(deadline=self._deadline()) as self._waiting:
            data = await self._transport.receive()
        timed_out = self._waiting.cancelled_caught
        self._waiting = None
        if not timed_out:
            self._spent += trio.current_time() - began
            return data
        if self._stage != "request":
            await self.protocol.refuse(Refused(408, f"the {self._stage} came too slowly"))
        return None

    def _deadline(self) -> float:
        """When what the protocol waits for must have come."""
        settings, now = self._settings, trio.current_time()
        stage = self.protocol.waits_for
        if stage != self._stage:
            self._stage, self._since = stage, now
        if stage == "request":
            return self._since + settings.keep_alive_timeout
        if stage == "head":
            return self._since + settings.head_timeout
        if stage == "body":
            allowed = settings.body_grace + self.protocol.body_received / settings.min_body_rate
            return now + min(allowed, settings.body_timeout) - self._spent
        return math.inf


def _config(settings: Settings) -> Config:
    """Hypercorn's settings: what it would write itself is written by us."""
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_date_header = False
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.max_head
    config.keep_alive_max_requests = settings.keep_alive_requests
    return config


def _nothing() -> None:
    """Nobody waits for an empty queue here: `send` waits for room."""
