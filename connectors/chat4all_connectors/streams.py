"""Bytes on their way: of a request, which knows when all of it is out, and of an answer."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import httpx2
import trio

from .errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from .http import Body


class Outgoing(httpx2.AsyncByteStream):
    """A request's body on its way: knows when all of it was written.

    Its pieces are asked for one by one, each when the one before has been written; so all are out
    when another one is asked for after the last.
    """

    def __init__(self, body: Body | None, scope: trio.CancelScope, patience: float) -> None:
        """Once it is out, `scope` ends after `patience` seconds."""
        self.went = False
        self._body = body
        self._scope = scope
        self._patience = patience

    def headers(self) -> dict[str, str]:
        """Of the request, as far as the body says them."""
        if self._body is None:
            return {}
        return {"Content-Type": self._body.content_type, "Content-Length": str(self._body.size)}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body is not None:
            left = self._body.size
            async with aclosing(self._body.pieces()) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    if left < 0:
                        break
                    yield piece
            if left:
                raise Refused("the file does not have the size that was said")
        self.went = True
        self._scope.deadline = trio.current_time() + self._patience


async def raw(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The bytes as they come.

    Whoever stops early has the connection closed and what is left in it read to its end: the
    generators below, of httpx2, are not closed by it otherwise, and would be found by the garbage
    collector.
    """
    pieces = response.aiter_raw()
    try:
        async for piece in pieces:
            yield piece
    except GeneratorExit:
        await response.aclose()
        try:
            async for _ in pieces:
                pass
        except (httpx2.TransportError, httpx2.StreamError):
            pass  # it was closed
        raise
