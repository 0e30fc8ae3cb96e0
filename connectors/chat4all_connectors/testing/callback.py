"""An address for a fake to call back: it keeps what came, raw, for `Connector.handle_webhook`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from chat4all_connectors.base import WebhookCall

from .http_server import Request, Response, open_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Callback:
    """Takes every call, with the answers it was told to give."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Response] = []
        """For the next calls, in their order; then 200."""
        self._calls: list[WebhookCall] = []

    def take(self) -> list[WebhookCall]:
        """What has come since the last time; refused calls too."""
        calls, self._calls = self._calls, []
        return calls

    async def _handle(self, request: Request) -> Response:
        body = await request.read()
        method: Literal["GET", "POST"] = "GET" if request.method == "GET" else "POST"
        self._calls.append(WebhookCall(method, request.query, request.headers, body))
        return self.answers.pop(0) if self.answers else Response(200, b"", "text/plain")


@asynccontextmanager
async def open_callback() -> AsyncIterator[Callback]:
    """A callback at a free port of this machine."""
    callback = Callback()
    async with open_server(callback._handle) as url:
        callback.url = f"{url}/callback"
        yield callback
