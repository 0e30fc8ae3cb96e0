"""`/docs`: the REST API's document to look at and to try out, from files of this machine alone.

The viewer is Swagger UI, of which two files are taken from the package `swagger_ui` as they are;
its Python is never imported. The page runs these scripts and ours, and speaks to this server only.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

_WEB: Final = Path(__file__).parent / "web"
_CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _viewer(name: str) -> Path:
    """A file of the installed viewer."""
    spec = importlib.util.find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package swagger-ui-py is not installed")
    return Path(spec.origin).parent / "static" / name


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    media_type: bytes


_FILES: Final[Mapping[str, _File]] = {
    "/docs": _File(_WEB / "docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.js": _File(_WEB / "docs.js", b"text/javascript; charset=utf-8"),
    "/docs/swagger-ui-bundle.js": _File(
        _viewer("swagger-ui-bundle.js"), b"text/javascript; charset=utf-8"
    ),
    "/docs/swagger-ui.css": _File(_viewer("swagger-ui.css"), b"text/css; charset=utf-8"),
}


class Docs:
    """An ASGI application around another one, which answers everything else."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        file = _FILES.get(scope["path"]) if scope["type"] == "http" else None
        if file is None or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, [(b"allow", b"GET, HEAD")], b"")
        else:
            headers = [
                (b"content-type", file.media_type),
                (b"content-security-policy", _CONTENT_SECURITY_POLICY),
                (b"cache-control", b"public, max-age=3600"),
            ]
            await _send(send, 200, headers, await trio.Path(file.path).read_bytes())


async def _send(
    send: ASGISendCallable, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
