"""What the first request of a connection makes of it: a WebSocket, HTTP, or one answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .. import tracing
from .doorkeeper import stopping
from .http.answers import refusal
from .http.errors import Refused
from .http.head import HeadReader, path_of, read_head
from .http.origins import Origins
from .http.rules import HEALTH
from .patience import Patience
from .websocket.upgrade import upgraded

if TYPE_CHECKING:
    import ssl

    from ..config import Settings
    from .http.addresses import Proxies
    from .http.head import RequestHead
    from .http.health import Health
    from .http.rules import RequestRules
    from .transport import Transport

logger = logging.getLogger(__name__)

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
        health: Health,
        patience: Patience,
    ) -> None:
        """`patience` is that with clients, which the end of the node shortens."""
        self._settings = settings
        self._rules = rules
        self._proxies = proxies
        self._origins = Origins(settings.allowed_origins)
        self._tls = tls
        self._health = health
        self._patience = patience
        self._admin_patience = Patience()

    async def greet(self, transport: Transport, peer: str) -> Upgrade | Requests | bytes | None:
        """What becomes of the connection from `peer`; or the answer that ends it.

        There is no answer to a client that went away. What belongs to the WebSocket is told in the
        caller's trace, which is the current one from here on.
        """
        reader, head = HeadReader(self._settings.max_head), None
        try:
            if not await self._read(transport, reader, self._patience):
                return None
            # Of a request for the application no more is read here: its protocol reads it all.
            if (path := path_of(reader.raw)) is None or _is_ours(path):
                head = read_head(reader.raw)
                return self._judge(head, reader, peer)
            return Requests(reader.raw + reader.trailing)
        except Refused as error:
            return refusal(error, head=head)

    async def greet_admin(self, transport: Transport) -> bytes | None:
        """The answer to a request on the admin port; None to a client that went away."""
        reader, head = HeadReader(self._settings.max_head), None
        try:
            if not await self._read(transport, reader, self._admin_patience):
                return None
            head = read_head(reader.raw)
            return self._health.answer(head)
        except Refused as error:
            return refusal(error, head=head)

    def answer_later(self, head: RequestHead) -> bytes | None:
        """The last answer of an HTTP connection, to a request that is not the application's.

        Raises:
            Refused: it can't be granted.
        """
        if head.path.startswith(HEALTH):
            return self._health.answer(head)
        if head.path != WEBSOCKET:
            return None
        upgraded(head, origins=self._origins)  # what is wrong with it beside that is told first
        raise Refused(400, "a WebSocket is the first request of its connection: open a new one")

    def _judge(
        self, head: RequestHead, reader: HeadReader, peer: str
    ) -> Upgrade | Requests | bytes:
        if not _is_ours(head.path):
            return Requests(reader.raw + reader.trailing)
        tracing.current.set(tracing.continue_trace(head.get_all(b"traceparent")))
        self._rules.check(head)
        if head.path != WEBSOCKET:
            return self._health.answer(head)
        response = upgraded(head, origins=self._origins)
        address, _ = self._proxies.client(head, peer, "http")
        return Upgrade(response, reader.trailing, address)

    async def _read(self, transport: Transport, reader: HeadReader, patience: Patience) -> bool:
        """Wait for the first head; False if the client went away.

        Usually it has come as a whole already, and nobody has to be waited for.

        Raises:
            Refused: it is too large, can't be one, or took too long.
        """
        if self._tls is None and reader.receive_data(transport.receive_nowait()):
            return True
        with patience.limit(self._settings.head_timeout):
            return await self._read_patiently(transport, reader)
        raise stopping() if patience.over else Refused(408, "the request took too long")

    async def _read_patiently(self, transport: Transport, reader: HeadReader) -> bool:
        if self._tls is not None:
            try:
                await transport.handshake(self._tls)
            except OSError as error:
                logger.debug("no TLS: %s", error)
                return False
        while data := await transport.receive():
            if reader.receive_data(data):
                return True
        return False


def _is_ours(path: str) -> bool:
    """Whether the edge answers by itself what is asked for."""
    return path == WEBSOCKET or path.startswith(HEALTH)
