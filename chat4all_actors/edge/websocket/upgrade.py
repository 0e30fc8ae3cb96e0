"""Whether a request becomes a WebSocket (RFC 6455 section 4.2), judged from its head alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from ..http.errors import Refused
from ..http.origins import Origins

if TYPE_CHECKING:
    from ..http.head import RequestHead

SUBPROTOCOL: Final = "chat4all.v1"
"""The only WebSocket subprotocol spoken here."""


_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TOKEN_PARAMETERS: Final = frozenset({"token", "access_token"})
_UPGRADE_HEADERS: Final = {"Upgrade": "websocket", "Connection": "Upgrade"}


def upgraded(head: RequestHead, *, origins: Origins) -> bytes:
    """The answer that makes a WebSocket of the connection.

    Extensions are never negotiated. The origin that equals the request's own Host is always
    allowed; a client without an Origin header is no browser and is served.

    Args:
        head: The request.
        origins: Further origins.

    Raises:
        Refused: It does not become one.
    """
    if head.method != "GET":
        raise Refused(405, "use GET", headers={"Allow": "GET"})
    parameters = parse_qsl(head.query, keep_blank_values=True)
    if any(name.lower() in _TOKEN_PARAMETERS for name, _ in parameters):
        raise Refused(400, "tokens do not travel in URLs: send it in the connect frame")
    if head.get(b"content-length") not in (None, b"0") or head.get(b"transfer-encoding"):
        raise Refused(400, "a WebSocket request has no body")
    key = _check_protocol(head)
    _check_origin(head, origins)
    return _accept(key, head.get_list(b"sec-websocket-protocol"))


def _check_protocol(head: RequestHead) -> bytes:
    """Judge the fields of the opening handshake, as RFC 6455 section 4.2.1 lists them.

    Returns:
        The key to be answered.
    """
    upgrades = {token.lower() for token in head.get_list(b"upgrade")}
    options = {token.lower() for token in head.get_list(b"connection")}
    # The Upgrade field means nothing in HTTP/1.0 (RFC 9110 section 7.8).
    if head.http_version != "1.1" or b"websocket" not in upgrades or b"upgrade" not in options:
        message = "this endpoint speaks WebSocket: upgrade the connection"
        raise Refused(426, message, headers=_UPGRADE_HEADERS)
    if head.get_all(b"sec-websocket-version") != [b"13"]:
        message = "this endpoint speaks WebSocket version 13"
        raise Refused(426, message, headers={**_UPGRADE_HEADERS, "Sec-WebSocket-Version": "13"})
    keys = head.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refused(400, "Sec-WebSocket-Key must be 16 bytes in base64, once")
    return keys[0]


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _check_origin(head: RequestHead, origins: Origins) -> None:
    sent = head.get_all(b"origin")
    if not sent:
        return
    if len(sent) != 1 or not (Origins.own(sent[0], head.get(b"host")) or origins.allowed(sent[0])):
        raise Refused(403, "this origin is not allowed")


def _accept(key: bytes, offered: list[bytes]) -> bytes:
    """Choose the subprotocol, and build the 101."""
    if offered and SUBPROTOCOL.encode() not in offered:
        raise Refused(400, f"the only subprotocol spoken here is {SUBPROTOCOL}")
    digest = hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
    ]
    if offered:
        lines.append(b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"
