"""Whether a request becomes a WebSocket (RFC 6455 section 4.2), judged from its head alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from ..http.answers import error_response, without_body
from ..http.origins import Origins

if TYPE_CHECKING:
    from ..http.answers import Fields
    from ..http.head import RequestHead

SUBPROTOCOL: Final = "chat4all.v1"
"""The only WebSocket subprotocol spoken here."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The connection becomes a WebSocket once `response` is sent."""

    response: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection is to be closed after `response`, whose status is `status`."""

    response: bytes
    status: int


_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TOKEN_PARAMETERS: Final = frozenset({"token", "access_token"})
_UPGRADE_HEADERS: Final = (("Upgrade", "websocket"), ("Connection", "Upgrade"))


def decide_upgrade(head: RequestHead, *, origins: Origins) -> Accept | Refuse:
    """Decide whether a request for the WebSocket endpoint is upgraded.

    Extensions are never negotiated. The origin that equals the request's own Host is always
    allowed; a client without an Origin header is no browser and is served.

    Args:
        head: The request.
        origins: Further origins.
    """
    if head.method != "GET":
        return _refuse(head, 405, "METHOD_NOT_ALLOWED", "use GET", headers=[("Allow", "GET")])
    parameters = parse_qsl(head.query, keep_blank_values=True)
    if any(name.lower() in _TOKEN_PARAMETERS for name, _ in parameters):
        message = "tokens do not travel in URLs: send it in the connect frame"
        return _refuse(head, 400, "INVALID_PAYLOAD", message)
    if head.get(b"content-length") not in (None, b"0") or head.get(b"transfer-encoding"):
        return _refuse(head, 400, "INVALID_PAYLOAD", "a WebSocket request has no body")
    return (
        _check_protocol(head)
        or _check_origin(head, origins)
        or _accept(head, head.get_list(b"sec-websocket-protocol"))
    )


def _check_protocol(head: RequestHead) -> Refuse | None:
    """Judge the fields of the opening handshake, as RFC 6455 section 4.2.1 lists them."""
    upgrades = {token.lower() for token in head.get_list(b"upgrade")}
    options = {token.lower() for token in head.get_list(b"connection")}
    # The Upgrade field means nothing in HTTP/1.0 (RFC 9110 section 7.8).
    if head.http_version != "1.1" or b"websocket" not in upgrades or b"upgrade" not in options:
        message = "this endpoint speaks WebSocket: upgrade the connection"
        return _refuse(head, 426, "UPGRADE_REQUIRED", message, headers=_UPGRADE_HEADERS)
    if head.get_all(b"sec-websocket-version") != [b"13"]:
        message = "this endpoint speaks WebSocket version 13"
        headers = [*_UPGRADE_HEADERS, ("Sec-WebSocket-Version", "13")]
        return _refuse(head, 426, "UPGRADE_REQUIRED", message, headers=headers)
    keys = head.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        message = "Sec-WebSocket-Key must be 16 bytes in base64, once"
        return _refuse(head, 400, "INVALID_PAYLOAD", message)
    return None


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _check_origin(head: RequestHead, origins: Origins) -> Refuse | None:
    sent = head.get_all(b"origin")
    if not sent:
        return None
    if len(sent) == 1 and (Origins.own(sent[0], head.get(b"host")) or origins.allowed(sent[0])):
        return None
    return _refuse(head, 403, "FORBIDDEN", "this origin is not allowed")


def _accept(head: RequestHead, offered: list[bytes]) -> Accept | Refuse:
    """Choose the subprotocol and build the 101; every other field was judged before."""
    if offered and SUBPROTOCOL.encode() not in offered:
        message = f"the only subprotocol spoken here is {SUBPROTOCOL}"
        return _refuse(head, 400, "INVALID_PAYLOAD", message)
    key = head.get(b"sec-websocket-key") or b""
    digest = hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
    ]
    if offered:
        lines.append(b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode())
    return Accept(b"\r\n".join(lines) + b"\r\n\r\n")


def _refuse(
    head: RequestHead, status: int, code: str, message: str, *, headers: Fields = ()
) -> Refuse:
    response = error_response(status, code, message, headers=headers)
    return Refuse(without_body(response) if head.method == "HEAD" else response, status)
