"""The store in a directory, with an edge that serves it to real HTTP clients."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from chat4all_storage.local.objects import LocalObjects
from chat4all_storage.memory.objects import Reply
from tests.edge.apps import Client
from tests.edge.house import house
from tests.storage.ports.object_places import ObjectPlace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chat4all_storage.ports.objects import Address

KEY = b"a key of addresses, for tests only"


def sign(data: bytes) -> bytes:
    """A MAC as the node's."""
    return hmac.digest(KEY, data, hashlib.sha256)


async def over_http(address: Address, data: bytes = b"") -> Reply:
    """What a client does at an address; it sends a body only where one belongs."""
    target = urlsplit(address.url)
    assert target.hostname is not None
    fields = [
        f"Host: {target.netloc}",
        *(f"{name}: {text}" for name, text in address.headers.items()),
    ]
    if address.method in ("PUT", "POST"):
        fields.append(f"Content-Length: {len(data)}")
    else:
        data = b""
    line = f"{address.method} {target.path}?{target.query} HTTP/1.1"
    stream = await trio.open_tcp_stream(target.hostname, target.port or 80)
    async with stream:
        await stream.send_all("\r\n".join([line, *fields, "", ""]).encode() + data)
        reply = await Client(stream).reply(address.method)
    return Reply(reply.status, reply.headers, reply.body)


@asynccontextmanager
async def local_place(root: Path) -> AsyncIterator[ObjectPlace]:
    """A directory, and a node's door."""
    now = 1_000_000.0

    def later(seconds: float) -> None:
        nonlocal now
        now += seconds

    store = LocalObjects(root, sign, clock=lambda: now)
    async with house(objects=store) as here:
        base = f"http://127.0.0.1:{here.address[1]}"
        yield ObjectPlace(store, over_http, later, base)
