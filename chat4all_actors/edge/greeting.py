"""What the first request of a connection makes of it: a WebSocket, HTTP, or one answer."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from .. import tracing
from .http.answers import error_response
from .http.head import BadRequest, HeadReader
from .http.health import respond
from .http.origins import Origins
from .http.rules import HEALTH
from .websocket.upgrade import Refuse, decide_upgrade

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from ..config import Settings
    from .http.addresses import Proxies
    from .http.head import RequestHead
    from .http.rules import RequestRules
    from .transport import Transport

logger = logging.getLogger(__name__)

RETRY_AFTER: Final = 5
"""Seconds that a refused client is told to wait."""
WEBSOCKET: Final = "/ws"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The connection becomes a WebSocket.

    Attributes:
        response: What to answer first.
        received: What has come behind the request.
        address: The client's, as the trusted proxies tell it.
    """

    response: bytes
    received: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Requests:
    """The connection goes on in HTTP, with what has come of it."""

    received: bytes


class Greeter:
    """Reads the first head of a connection, and judges it."""

    def __init__(
        self,
        settings: Settings,
        *,
        rules: RequestRules,
        proxies: Proxies,
        tls: ssl.SSLContext | None,
        unready: Callable[[], str | None],
        degraded: Callable[[], list[str]],
    ) -> None:
        """`unready` and `degraded`: see `http.respond`."""
        self._settings = settings
        self._rules = rules
        self._proxies = proxies
        self._origins = Origins(settings.allowed_origins)
        self._tls = tls
        self._unready = unready
        self._degraded = degraded

    def greet_at_once(
        self, transport: Transport, reader: HeadReader, peer: str
    ) -> Upgrade | Requests | bytes | None:
        """The same as `greet` if the whole head has come already; else None, and `greet` goes on.

        Usually it has: who waits for nobody needs no watch, no wake-up and no time-out.
        """
        if self._tls is not None or not (data := transport.receive_nowait()):
            return None
        try:
            head = reader.receive_data(data)
            return None if head is None else self._judge(head, reader, peer)
        except BadRequest as error:
            return error.response()

    async def greet(
        self, transport: Transport, reader: HeadReader, peer: str
    ) -> Upgrade | Requests | bytes | None:
        """What becomes of the connection from `peer`; or the answer that ends it.

        There is no answer to a client that went away. What belongs to the WebSocket is told in the
        caller's trace, which is the current one from here on.
        """
        try:
            head = await self._read_head(transport, reader)
            return None if head is None else self._judge(head, reader, peer)
        except BadRequest as error:
            return error.response()

    def _judge(
        self, head: RequestHead, reader: HeadReader, peer: str
    ) -> Upgrade | Requests | bytes:
        if head.path != WEBSOCKET and not head.path.startswith(HEALTH):
            return Requests(reader.raw + reader.trailing)
        tracing.current.set(tracing.continue_trace(head.get_all(b"traceparent")))
        self._rules.check(head)
        if head.path != WEBSOCKET:
            return self._health(head)
        answer = decide_upgrade(head, origins=self._origins)
        if isinstance(answer, Refuse):
            return answer.response
        address, _ = self._proxies.client(head, peer, "http")
        return Upgrade(answer.response, reader.trailing, address)

    async def greet_admin(self, transport: Transport) -> bytes | None:
        """The answer to a request on the admin port; None to a client that went away."""
        with trio.move_on_after(self._settings.head_timeout):
            try:
                head = await self._read_head(transport, HeadReader(self._settings.max_head))
            except BadRequest as error:
                return error.response()
            return None if head is None else self._health(head)
        return error_response(408, "TIMEOUT", "the request took too long")

    def answer_later(self, head: RequestHead) -> bytes | None:
        """The last answer of an HTTP connection, to a request that is not the application's."""
        if head.path.startswith(HEALTH):
            return self._health(head)
        if head.path != WEBSOCKET:
            return None
        answer = decide_upgrade(head, origins=self._origins)
        if isinstance(answer, Refuse):
            return answer.response
        message = "a WebSocket is the first request of its connection: open a new one"
        return error_response(400, "INVALID_PAYLOAD", message)

    def _health(self, head: RequestHead) -> bytes:
        return respond(head, unready=self._unready, degraded=self._degraded)

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


def unavailable(why: str, retry_after: float = RETRY_AFTER) -> bytes:
    """The answer to a client that is to come back after so many seconds."""
    return error_response(503, "UNAVAILABLE", why, retry_after=math.ceil(retry_after))
