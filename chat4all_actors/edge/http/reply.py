"""An answer that is written without an application, on a connection that may go on after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import HSTS, SAFE_FIELDS, answer_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ... import tracing
    from ..transport import Transport
    from .errors import Refused
    from .head import RequestHead


class Reply:
    """The answer to one request; what is common to all is added to it."""

    def __init__(
        self,
        transport: Transport,
        head: RequestHead,
        trace: tracing.Trace,
        *,
        tls: bool,
        fields: Iterable[tuple[bytes, bytes]],
        last: Callable[[], bool],
    ) -> None:
        """`fields` are further ones; `last` tells whether the connection is to end with it."""
        self._transport = transport
        self._head = head
        self._trace_id = trace.trace_id
        self._fields = [("X-Trace-Id", trace.trace_id)]
        self._fields += [(name.decode(), value.decode("latin-1")) for name, value in fields]
        if tls:
            self._fields.append(HSTS)
        self._last = last
        self.status = 0
        """0 until it begins."""
        self.size = 0
        """Bytes of its body that were sent."""
        self.closes = False
        """Whether the connection ends with it."""

    def proceed(self) -> None:
        """Tell a client that waits for it that its body is wanted."""
        if self._head.get_list(b"expect"):
            self._transport.send_nowait(b"HTTP/1.1 100 Continue\r\n\r\n")

    def begin(self, status: int, fields: Mapping[str, str], *, close: bool = False) -> None:
        """Send the head; `close`: the connection can't be used after it."""
        asked = [option.lower() for option in self._head.get_list(b"connection")]
        kept = self._head.http_version == "1.1" and b"close" not in asked
        self.closes = close or not kept or self._last()
        own = [] if not self.closes else [("Connection", "close")]
        safe = [field for field in SAFE_FIELDS if field[0] not in fields]
        head = answer_head(status, [*fields.items(), *self._fields, *safe, *own])
        self.status = status
        self._transport.send_nowait(head)

    def end(self, status: int, fields: Mapping[str, str], *, close: bool = False) -> None:
        """Answer without a body."""
        length = {} if status in (204, 304) else {"Content-Length": "0"}
        self.begin(status, {**length, **fields}, close=close)

    def refuse(self, error: Refused, *, close: bool) -> None:
        """Answer with an error."""
        body = error.body(self._trace_id)
        told = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.begin(error.status, {**told, **error.headers}, close=close)
        if self._head.method != "HEAD":
            self._transport.send_nowait(body)
            self.size = len(body)
