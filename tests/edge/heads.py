"""Request heads as bytes, and the answers to them as a client reads them."""

from __future__ import annotations

import json
from typing import Any

import h11

from chat4all_actors.edge.http.head import HeadReader, RequestHead, read_head

RFC_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
RFC_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The sample nonce of RFC 6455 section 1.3 and its answer."""

UPGRADE = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": RFC_KEY,
}


def head_bytes(
    *lines: str, method: str = "GET", target: str = "/ws", version: str = "1.1", **changes: Any
) -> bytes:
    """Build an upgrade request; `changes` replace a field (None leaves it out), `lines` add."""
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    request = [f"{method} {target} HTTP/{version}"]
    request += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*request, *lines, "", ""]).encode("latin-1")


def parse(data: bytes) -> RequestHead:
    reader = HeadReader()
    assert reader.receive_data(data)
    return read_head(reader.raw)


def answer(response: bytes, method: str = "GET") -> tuple[int, dict[str, str], dict[str, Any]]:
    """Parse a final response as an HTTP client does; the connection must close after it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/ws", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response)
    client.receive_data(b"")
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert isinstance(client.next_event(), h11.ConnectionClosed)
    headers: dict[str, str] = {}
    for name, value in head.headers:
        known = headers.get(name.decode())
        headers[name.decode()] = f"{known}, {value.decode()}" if known else value.decode()
    return head.status_code, headers, json.loads(body) if body else {}
