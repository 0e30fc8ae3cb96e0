"""The few plain HTTP answers of the port: health, and "there is nothing here"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import error_response, http_response, without_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

    from .head import RequestHead


def respond(
    head: RequestHead, *, unready: Callable[[], str | None], degraded: Callable[[], list[str]]
) -> bytes:
    """The whole response to a request that is no WebSocket's; to HEAD without its body.

    `unready` tells what keeps the node from accepting work, or None; `degraded` what does not work
    as it should beside that.
    """
    response = _answer(head, unready, degraded)
    return without_body(response) if head.method == "HEAD" else response


def _answer(
    head: RequestHead, unready: Callable[[], str | None], degraded: Callable[[], list[str]]
) -> bytes:
    if head.path in ("/health/live", "/health/startup", "/health/ready"):
        if head.method not in ("GET", "HEAD"):
            return error_response(
                405, "METHOD_NOT_ALLOWED", f"{head.path} answers GET", headers=[("Allow", "GET")]
            )
        if head.path == "/health/ready":
            why = unready()
            if why is not None:
                return error_response(503, "UNAVAILABLE", why, retry_after=1)
            if reasons := degraded():
                return http_response(200, {"status": "degraded", "reasons": reasons})
        return http_response(200, {"status": "ok"})
    return error_response(404, "NOT_FOUND", "there is nothing here")


async def nothing_here(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """An application without anything."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
