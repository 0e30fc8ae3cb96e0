"""What every answer of the application has in common, whatever it is: an ASGI middleware.

It continues the caller's trace, keeps foreign web pages out, bounds the time of an answer, gives
every error the REST error format, adds the fields that keep browsers safe, and writes the line of
the access log. An application tells the route's template as `scope["state"]["route"]`; without it
the log has the path. With `scope["state"]["extend"](seconds)` it asks for more time, from then on.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

import trio

from ... import tracing
from .answers import HSTS, SAFE_FIELDS
from .cors import Cors
from .errors import error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

    from ...config import Settings
    from .head import RequestHead

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("chat4all.access")

LOG_LEVELS: Final[Mapping[str, int]] = {"info": logging.INFO, "debug": logging.DEBUG, "off": 0}
_SAFE: Final = tuple((name.lower().encode(), value.encode()) for name, value in SAFE_FIELDS)
_HSTS: Final = (HSTS[0].lower().encode(), HSTS[1].encode())
_MESSAGES: Final[Mapping[int, str]] = {
    404: "there is nothing here",
    405: "this path does not answer that method; see the field Allow",
}
# What an answer in another format says for programs, and keeps saying in ours.
_KEPT: Final = frozenset({b"allow", b"retry-after", b"www-authenticate"})
MAX_LOGGED_PATH: Final = 200
GRACE: Final = 1.0
"""Seconds beyond: an application that keeps to its time itself knows better what to say."""


class Front:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIFramework, settings: Settings) -> None:
        self._app = app
        self._cors = Cors(settings.allowed_origins)
        self._answer_timeout = settings.request_timeout + GRACE
        self._longest = settings.body_timeout + self._answer_timeout
        self._log_level = LOG_LEVELS[settings.access_log]

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        trace = tracing.continue_trace([value for name, value in headers if name == b"traceparent"])
        token = tracing.current.set(trace)
        began = trio.current_time()
        answer = _Answer(send, trace, tls=scope["scheme"] == "https")
        try:
            await self._answer(scope, receive, answer)
        finally:
            self._log(scope, answer, trio.current_time() - began)
            tracing.current.reset(token)

    async def _answer(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, answer: _Answer
    ) -> None:
        served, fields, preflight = self._cors.judge(scope["method"], scope["headers"])
        answer.fields += fields
        if not served:
            await answer.error(403, "this origin is not allowed")
            return
        if preflight:
            await answer.whole(204, [], b"")
            return
        # Only what comes after the request counts; the connection looks after how that comes in.
        patience = trio.CancelScope(deadline=trio.current_time() + self._longest)
        answer.patience = patience

        def extend(seconds: float) -> None:
            patience.deadline = max(patience.deadline, trio.current_time() + seconds + GRACE)

        scope["state"]["extend"] = extend

        async def received() -> ASGIReceiveEvent:
            event = await receive()
            if event["type"] == "http.disconnect":
                answer.gone = True
            elif (
                event["type"] == "http.request"
                and not event.get("more_body", False)
                and not answer.status
            ):
                patience.deadline = trio.current_time() + self._answer_timeout
            return event

        try:
            with patience:
                await self._app(scope, received, answer.send)
        except Exception:
            logger.exception("a request failed")
            if not answer.status:
                await answer.error(500, "this is a fault of the server; it has been noted")
            answer.failed = True
        else:
            if answer.status:
                return
            if patience.cancelled_caught:
                await answer.error(504, "the answer took too long; it may have been carried out")
            elif not answer.gone:
                logger.error("a request was not answered by the application")
                await answer.error(500, "this is a fault of the server; it has been noted")

    def log_refusal(self, head: RequestHead | None, status: int, address: str) -> None:
        """The line for a request that came to no application; `head` is None if it has none."""
        if self._log_level and access_logger.isEnabledFor(self._log_level):
            method, path = ("-", "-") if head is None else (head.method[:32], head.path)
            log_access(
                self._log_level, method, path[:MAX_LOGGED_PATH], status, 0, 0.0, address or "-"
            )

    def _log(self, scope: HTTPScope, answer: _Answer, seconds: float) -> None:
        level = logging.WARNING if answer.failed or answer.status >= 500 else self._log_level
        if level and access_logger.isEnabledFor(level):
            route = scope["state"].get("route")
            if not isinstance(route, str):
                route = scope["raw_path"].decode("ascii", "replace")[:MAX_LOGGED_PATH]
            address = scope["client"][0] if scope["client"] else "-"
            log_access(level, scope["method"], route, answer.status, answer.size, seconds, address)


def log_access(
    level: int, method: str, route: str, status: int, size: int, seconds: float, address: str
) -> None:
    """The line of one request: nothing of its query, its fields or its body. Status 0 is none."""
    line = "%s %s %d %d bytes %.1f ms from %s"
    access_logger.log(level, line, method, route, status, size, seconds * 1000, address)


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: ASGISendCallable, trace: tracing.Trace, *, tls: bool) -> None:
        self._send: Callable[[ASGISendEvent], Awaitable[None]] = send
        self._trace = trace
        self.fields: list[tuple[bytes, bytes]] = [(b"x-trace-id", trace.trace_id.encode())]
        if tls:
            self.fields.append(_HSTS)
        self.patience: trio.CancelScope | None = None
        self.status = 0
        """0 until the answer begins."""
        self.size = 0
        """Bytes of the body."""
        self.failed = False
        self.gone = False
        """Whether the client has left: the application may then leave it at that."""
        self._replaced = False
        """Whether the application's body is dropped, since ours took its place."""

    async def send(self, event: ASGISendEvent) -> None:
        """Take a part of the application's answer."""
        if event["type"] == "http.response.start":
            await self._start(event["status"], list(event.get("headers", ())))
        elif event["type"] == "http.response.body":
            if not self._replaced:
                self.size += len(event.get("body", b""))
                await self._send(event)
        else:
            await self._send(event)

    async def _start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if self.patience is not None:
            self.patience.deadline = math.inf
        names = {name.lower(): value for name, value in headers}
        if status >= 400 and not names.get(b"content-type", b"").startswith(b"application/"):
            self._replaced = True
            kept = [(name, value) for name, value in names.items() if name in _KEPT]
            await self.error(status, _MESSAGES.get(status, "the request can't be answered"), kept)
            return
        fields = [field for field in _SAFE if field[0] not in names]
        await self._begin(status, [*headers, *fields])

    async def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status = status
        start: Any = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *self.fields],
        }
        await self._send(start)

    async def error(
        self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Answer with an error."""
        body = error_body(status, message, self._trace.trace_id)
        await self.whole(status, [(b"content-type", b"application/json"), *headers], body)

    async def whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer all at once."""
        if self.patience is not None:
            self.patience.deadline = math.inf
        fields = [*headers, *_SAFE]
        if status != 204:
            fields.append((b"content-length", b"%d" % len(body)))
        self.size = len(body)
        await self._begin(status, fields)
        end: Any = {"type": "http.response.body", "body": body, "more_body": False}
        await self._send(end)
