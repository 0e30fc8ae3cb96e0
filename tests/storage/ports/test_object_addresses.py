"""What a client gets at the addresses of every object store, and at those that it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec.structs import replace

from chat4all_storage.ports.objects import Shown
from tests.storage.ports.object_places import (
    HOUR,
    PDF,
    addresses,
    assert_refused,
    begin,
    content,
    fetch,
    header,
    make,
    new_key,
    put,
    read,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.ports.objects import Address
    from tests.storage.ports.object_places import ObjectPlace


async def test_an_object_is_fetched_with_its_name_and_type(objects: ObjectPlace) -> None:
    parts = content(objects, 2)
    key, whole = await make(objects, parts), b"".join(parts)
    shown = Shown('Gruß "an" ana;.pdf', "application/pdf")
    address = await objects.store.address(key, shown, lifetime=HOUR, base=objects.base)
    assert address.method == "GET"
    reply = await fetch(objects, address)
    assert (reply.status, reply.body) == (200, whole)
    assert header(reply, "Content-Type") == "application/pdf"
    disposition = header(reply, "Content-Disposition")
    assert disposition.startswith("attachment;")
    assert "filename*=UTF-8''Gru%C3%9F%20%22an%22%20ana%3B.pdf" in disposition


async def test_an_object_is_fetched_by_ranges(objects: ObjectPlace) -> None:
    parts = content(objects, 2)
    key, whole = await make(objects, parts), b"".join(parts)
    address = await objects.store.address(key, PDF, lifetime=HOUR, base=objects.base)
    for first, last in ((0, 0), (1, 99), (len(parts[0]) - 5, len(parts[0]) + 5)):
        reply = await fetch(objects, address, f"bytes={first}-{last}")
        assert (reply.status, reply.body) == (206, whole[first : last + 1])
        assert header(reply, "Content-Range") == f"bytes {first}-{last}/{len(whole)}"
    reply = await fetch(objects, address, f"bytes={len(whole) - 9}-")
    assert (reply.status, reply.body) == (206, whole[-9:])
    assert (await fetch(objects, address, f"bytes={len(whole)}-")).status == 416


async def test_what_was_put_whole_is_fetched_too(objects: ObjectPlace) -> None:
    key = new_key()
    await objects.store.put(key, b"picture", "image/webp")
    shown = Shown("small.webp", "image/webp")
    address = await objects.store.address(key, shown, lifetime=HOUR, base=objects.base)
    reply = await fetch(objects, address)
    assert (reply.status, reply.body) == (200, b"picture")
    assert header(reply, "Content-Type") == "image/webp"


async def test_an_address_leads_to_nothing_before_the_join_and_after_the_removal(
    objects: ObjectPlace,
) -> None:
    key, parts = new_key(), content(objects, 1)
    address = await objects.store.address(key, PDF, lifetime=HOUR, base=objects.base)
    name = await upload(objects, key, parts)
    assert (await fetch(objects, address)).status == 404
    await objects.store.join(key, name, await objects.store.parts(key, name))
    assert (await fetch(objects, address)).status == 200
    await objects.store.remove(key)
    assert (await fetch(objects, address)).status == 404


# --- addresses that were not given


def changed(address: Address, key: str) -> Iterator[Address]:
    """The address with anything in it changed, that it can be told by."""
    parts = urlsplit(address.url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    for index, (name, value) in enumerate(query):
        others = [f"{value}0", value[:-1], "1" if value != "1" else "2"]
        for other in others:
            new = [*query[:index], (name, other), *query[index + 1 :]]
            yield replace(address, url=urlunsplit(parts._replace(query=urlencode(new))))
        left = [*query[:index], *query[index + 1 :]]
        yield replace(address, url=urlunsplit(parts._replace(query=urlencode(left))))
    for path in (
        parts.path.replace(key, new_key()),
        f"{parts.path}0",
        f"{parts.path[:-1]}{'2' if parts.path[-1] != '2' else '3'}",
        parts.path.replace(key, f"x/../{key}"),
        parts.path.replace(key, f"%2e%2e/{key}"),
    ):
        yield replace(address, url=urlunsplit(parts._replace(path=path)))
    yield replace(address, url=urlunsplit(parts._replace(query="")))


async def test_a_part_is_not_put_at_a_changed_address(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 2)
    name = await begin(objects, key)
    address, _ = await addresses(objects, key, name, parts)
    for other in changed(address, key):
        assert_refused(await objects.request(other, parts[0]))
    assert await objects.store.parts(key, name) == []


async def test_an_object_is_not_fetched_at_a_changed_address(objects: ObjectPlace) -> None:
    key = await make(objects, content(objects, 1))
    address = await objects.store.address(key, PDF, lifetime=HOUR, base=objects.base)
    for other in changed(address, key):
        reply = await fetch(objects, other)
        assert_refused(reply)


async def test_an_address_is_for_one_method(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    (address,) = await addresses(objects, key, name, parts)
    for method in ("GET", "POST", "DELETE"):
        assert_refused(await objects.request(replace(address, method=method), parts[0]))
    assert await objects.store.parts(key, name) == []
    await put(objects, address, parts[0])
    await objects.store.join(key, name, await objects.store.parts(key, name))
    fetching = await objects.store.address(key, PDF, lifetime=HOUR, base=objects.base)
    for method in ("PUT", "POST", "DELETE"):
        assert_refused(await objects.request(replace(fetching, method=method), b"other"))
    assert await read(objects, key) == parts[0]


async def test_an_address_expires(objects: ObjectPlace) -> None:
    key, parts = new_key(), content(objects, 1)
    name = await begin(objects, key)
    (address,) = await addresses(objects, key, name, parts, lifetime=60)
    objects.later(50)
    await put(objects, address, parts[0])
    fetching = await objects.store.address(key, PDF, lifetime=60, base=objects.base)
    await objects.store.join(key, name, await objects.store.parts(key, name))
    assert (await fetch(objects, fetching)).status == 200
    objects.later(70)
    assert_refused(await objects.request(address, parts[0]))
    assert_refused(await fetch(objects, fetching))
