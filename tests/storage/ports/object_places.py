"""Every object store as its suite uses it, from our side and from a client's; what it does."""

from __future__ import annotations

import random
import secrets
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from msgspec import Struct
from msgspec.structs import replace

from chat4all_storage.memory.objects import MemoryObjects, Reply
from chat4all_storage.ports.objects import Shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from chat4all_storage.ports.objects import Address, ObjectStore
    from chat4all_storage.s3.objects import S3Objects
    from tests.support.s3_server import S3Server

HOUR: Final = 3600.0
PDF: Final = Shown("report.pdf", "application/pdf")


class ObjectPlace(Struct, frozen=True):
    """A store, and what a client and the time can do to it."""

    store: ObjectStore
    request: Callable[[Address, bytes], Awaitable[Reply]]
    """What a client does at an address, with these bytes."""
    later: Callable[[float], None]
    """Let so many seconds pass for those who judge whether an address has expired."""
    base: str = "http://files.example"
    """Where a client finds the server, for a store that is served by us."""
    part_size: int = 64 * 1024
    """Of all parts but the last: the smallest that the store takes."""


def memory_place() -> ObjectPlace:
    """A store in memory."""
    now = 0.0

    def later(seconds: float) -> None:
        nonlocal now
        now += seconds

    store = MemoryObjects(clock=lambda: now)
    return ObjectPlace(store, store.request, later)


@contextmanager
def s3_place(server: S3Server, store: S3Objects) -> Iterator[ObjectPlace]:
    """A bucket of a server that runs, and has its own time again afterwards."""
    ahead = 0.0

    def later(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds
        server.later(seconds)

    try:
        yield ObjectPlace(store, over_http, later, part_size=5 * 2**20)
    finally:
        if ahead:
            server.later(-ahead)


async def over_http(address: Address, data: bytes) -> Reply:
    """What a client does that counts for itself how much it sends, and changes nothing in a URL."""
    return await trio.to_thread.run_sync(_over_http, address, data)


def _over_http(address: Address, data: bytes) -> Reply:
    url = urlsplit(address.url)
    headers = {
        name: text for name, text in address.headers.items() if name.lower() != "content-length"
    }
    connection = HTTPConnection(url.netloc, timeout=60)
    try:
        connection.request(
            address.method,
            f"{url.path}?{url.query}",
            body=data if address.method in ("PUT", "POST") else None,
            headers=headers,
        )
        with connection.getresponse() as reply:
            return Reply(reply.status, dict(reply.headers), reply.read())
    finally:
        connection.close()


def new_key() -> str:
    return secrets.token_urlsafe(16)


def content(objects: ObjectPlace, count: int) -> list[bytes]:
    """The bytes of this many parts, the last of which is a small one."""
    source = random.Random(count)
    sizes = [*[objects.part_size] * (count - 1), 1000 + count]
    return [source.randbytes(size) for size in sizes]


async def begin(objects: ObjectPlace, key: str) -> str:
    return await objects.store.begin(key, part_size=objects.part_size, mime="application/pdf")


async def addresses(
    objects: ObjectPlace, key: str, upload: str, parts: list[bytes], lifetime: float = HOUR
) -> list[Address]:
    sizes = [(number, len(data)) for number, data in enumerate(parts, 1)]
    return await objects.store.part_addresses(
        key, upload, sizes, lifetime=lifetime, base=objects.base
    )


async def put(objects: ObjectPlace, address: Address, data: bytes) -> None:
    reply = await objects.request(address, data)
    assert reply.status == 200, reply


async def upload(objects: ObjectPlace, key: str, parts: list[bytes]) -> str:
    """Begin an upload, and put all its parts."""
    name = await begin(objects, key)
    for address, data in zip(await addresses(objects, key, name, parts), parts, strict=True):
        await put(objects, address, data)
    return name


async def make(objects: ObjectPlace, parts: list[bytes]) -> str:
    """A new object of these parts."""
    key = new_key()
    name = await upload(objects, key, parts)
    await objects.store.join(key, name, await objects.store.parts(key, name))
    return key


async def read(objects: ObjectPlace, key: str, start: int = 0) -> bytes:
    async with objects.store.read(key, start=start) as pieces:
        return b"".join([piece async for piece in pieces])


async def fetch(objects: ObjectPlace, address: Address, range_: str | None = None) -> Reply:
    if range_ is not None:
        address = replace(address, headers={**address.headers, "Range": range_})
    return await objects.request(address, b"")


def assert_refused(reply: Reply) -> None:
    assert 400 <= reply.status < 500, reply


def header(reply: Reply, name: str) -> str:
    return {key.lower(): value for key, value in reply.headers.items()}[name.lower()]
