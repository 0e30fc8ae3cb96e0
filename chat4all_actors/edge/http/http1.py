"""HTTP/1.1 on one connection: hypercorn's protocol between our transport and the application.

What is added to hypercorn's `H11Protocol`: every head keeps to the `RequestRules`, a body to its
limit, nothing is upgraded, and what can't be answered by the application is answered in the REST
error format. How long anything may take is `HttpConnection`'s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from ... import tracing
from .answers import refusal
from .errors import Refused
from .head import head_of, unreadable
from .rules import body_too_large
from .transfers import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.config import Config
    from hypercorn.protocol.events import Event as StreamEvent
    from hypercorn.typing import AppWrapper, ConnectionState, TaskGroup, WorkerContext

    from .addresses import Proxies
    from .head import RequestHead
    from .rules import RequestRules
    from .transfers import Transfers

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
FREE_CHUNKS: Final = 256
BYTES_PER_CHUNK: Final = 64
"""Chunks of a body beyond the free ones must be so large on average: each costs as a whole one."""


class _Answered(Exception):
    """The connection ends with this answer, which is no application's."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response


class _HandedOver(Exception):
    """The request is served with the connection itself; see `Http1.handed_over`."""


class _Reader(h11.Connection):
    """h11, that says what it can't read in our words."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """See h11.

        Raises:
            Refused: the client does not speak HTTP/1.1.
        """
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            raise unreadable(error) from error


class _Exchange(HTTPStream):
    """One request and its answer."""

    limit = 0
    """Bytes that the body may have."""
    received = 0
    """Bytes of the body that have come."""
    _chunks = 0
    chunked = False

    async def handle(self, event: StreamEvent) -> None:
        """Hand on what the client sends.

        Raises:
            Refused: it is more than it may be.
        """
        if isinstance(event, Body):
            self.received += len(event.data)
            if self.received > self.limit:
                raise body_too_large(self.limit)
            self._chunks += 1
            if self.chunked and self._chunks > FREE_CHUNKS + self.received // BYTES_PER_CHUNK:
                raise Refused(400, "the chunks of the body are too small")
        await super().handle(event)


@dataclass(frozen=True, slots=True)
class Service:
    """What the requests of all connections are served by.

    Attributes:
        app: The application.
        config: Hypercorn's settings.
        context: What hypercorn's connections have in common.
        rules: What every head must keep to.
        proxies: Those whose word about their clients counts.
        tls: Whether the connections are under TLS.
        plain: Answers a request that is not the application's, else None; the connection ends.
        refused: Told the status of an answer that is nobody's else, and to which address.
        transfers: What is served with the connection itself, if anything is.
    """

    app: AppWrapper
    config: Config
    context: WorkerContext
    rules: RequestRules
    proxies: Proxies
    tls: bool
    plain: Callable[[RequestHead], bytes | None]
    refused: Callable[[RequestHead | None, int, str], None]
    transfers: Transfers | None


class Http1(H11Protocol):
    """The requests of one connection, one after the other."""

    stream: _Exchange | None

    def __init__(
        self,
        service: Service,
        tasks: TaskGroup,
        peer: tuple[str, int],
        server: tuple[str, int],
        send: Callable[[Event], Any],
    ) -> None:
        """`peer` and `server` are the connection's two ends; `send` takes what is to be done."""
        super().__init__(
            service.app,
            service.config,
            service.context,
            tasks,
            cast("ConnectionState", {}),
            ssl=service.tls,
            client=peer,
            server=server,
            send=send,
        )
        self.connection: h11.Connection = _Reader(
            h11.SERVER, max_incomplete_event_size=service.config.h11_max_incomplete_size
        )
        self._service = service
        self._peer = peer
        self._held = b""
        """The head of an answer, to be sent together with the first of its body."""
        self._head: RequestHead | None = None
        """Of the request that is coming in or being answered."""
        self.last = False
        """Whether the connection ends with the next answer that begins."""
        self.over = False
        self.handed_over: Asked | None = None
        """A request that is for others to serve, with the connection; nothing is done here then."""

    @property
    def ends(self) -> bool:
        """Whether the connection ends with the next answer."""
        return self.last or self.keep_alive_requests >= self.config.keep_alive_max_requests

    @property
    def waits_for(self) -> str:
        """What is to come from the client: a `request`, the rest of its `head`, its `body`; or "".

        Nothing while an answer is being made.
        """
        theirs = self.connection.their_state
        if theirs is h11.IDLE:
            return "head" if self.connection.trailing_data[0] else "request"
        return "body" if theirs is h11.SEND_BODY else ""

    @property
    def body_received(self) -> int:
        """Bytes of the body of the request that is coming in."""
        return 0 if self.stream is None else self.stream.received

    async def handle(self, event: Event) -> None:
        """Take what came from the client, or its end."""
        try:
            await super().handle(event)
        except Refused as error:
            await self.refuse(error)
        except _Answered as answered:
            await self._end_with(answered.response)
        except _HandedOver:
            self._head = None

    async def refuse(self, error: Refused) -> None:
        """End the connection with this answer, if no other has begun."""
        if self.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            await self._end_with(b"")
            return
        head = self._head
        token = tracing.current.set(_trace(head))
        try:
            response = refusal(error, head=head)
            self._service.refused(head, error.status, self.client[0] if self.client else "")
        finally:
            tracing.current.reset(token)
        await self._end_with(response)

    async def _end_with(self, response: bytes) -> None:
        if self.over:
            return
        self.over = True  # whatever the application still says is not sent
        if response:
            await self.send(RawData(response))
        await self.send(Closed())

    # --- what hypercorn's protocol is made to do otherwise -------------------------------------

    async def _check_protocol(self, event: h11.Request) -> None:
        """Nothing is upgraded, neither to HTTP/2 nor to anything else."""

    async def _create_stream(self, request: h11.Request) -> None:
        self._head = head = head_of(request)
        peer, port = self._peer
        service = self._service
        scheme = "https" if service.tls else "http"
        address, scheme = service.proxies.client(head, peer, scheme)
        self.client = (address, port)
        files = service.transfers is not None and service.transfers.serves(head.path)
        service.rules.check(head, sized=not files)
        if (response := service.plain(head)) is not None:
            raise _Answered(response)
        self.keep_alive_requests += 1
        if files:
            behind, _ = self.connection.trailing_data
            self.handed_over = Asked(head, bytes(behind), address, tls=scheme == "https")
            raise _HandedOver
        self.stream = stream = _Exchange(
            self.app,
            self.config,
            self.context,
            self.task_group,
            scheme == "https",
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        stream.limit = service.rules.max_body(head)
        stream.chunked = head.get(b"transfer-encoding") is not None
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(head.headers),
                http_version=head.http_version,
                method=head.method,
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent) -> None:
        """Take a part of an answer."""
        if self.over:
            return
        try:
            if isinstance(event, Response):
                self._begin_answer(event)
            else:
                await super().stream_send(event)
        except h11.LocalProtocolError:
            await self._end_with(b"")  # what has been sent can't be mended
            raise

    def _begin_answer(self, event: Response) -> None:
        headers = [*event.headers, (b"date", _date())]
        if self.ends:
            headers.append((b"connection", b"close"))
        response = h11.Response(
            headers=headers,
            status_code=event.status_code,
            reason=_REASONS.get(event.status_code, b""),
        )
        self._held = self.connection.send(response)

    async def _maybe_recycle(self) -> None:
        self._head = None
        await super()._maybe_recycle()

    async def _send_h11_event(self, event: Any) -> None:
        data = self.connection.send(event)
        if self._held:
            data, self._held = self._held + data, b""
        if data:
            await self.send(RawData(data))


def _trace(head: RequestHead | None) -> tracing.Trace:
    if head is None:
        return tracing.new_trace()
    return tracing.continue_trace(head.get_all(b"traceparent"))


_dated: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date field, made once a second."""
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True).encode())
    return _dated[1]
