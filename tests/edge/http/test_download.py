"""Objects that are fetched at their addresses."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.edge.transport import LINGER
from chat4all_storage.ports.objects import Shown
from tests.edge.apps import Client, request
from tests.edge.http.transfer_house import PDF, head, transfer_house

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from trio.testing import MockClock

    from tests.edge.apps import Reply
    from tests.edge.http.transfer_house import TransferHouse

DATA = random.Random(5).randbytes(3_000_000)


async def get(house: TransferHouse, target: str, *lines: str, method: str = "GET") -> Reply:
    asking = await house.client(head(target, *lines, method=method, size=None))
    return await asking.reply(method)


async def test_an_object_is_handed_out_to_be_kept_not_shown(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        reply = await get(house, await house.download(lifetime=600))
        assert (reply.status, reply.body) == (200, DATA)
        seconds = int(reply.headers.pop("cache-control").removeprefix("private, max-age="))
        assert 590 <= seconds <= 600
        told = {name: reply.headers[name] for name in reply.headers if name != "date"}
        assert told.pop("x-trace-id")
        assert told == {
            "accept-ranges": "bytes",
            "content-disposition": PDF.disposition,
            "content-length": "3000000",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "content-type": "application/pdf",
            "cross-origin-resource-policy": "same-origin",
            "etag": '"key"',
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b.txt", "filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
        ('Gruß "x".txt', "filename=\"Gru_ _x_.txt\"; filename*=UTF-8''Gru%C3%9F%20%22x%22.txt"),
        ("../../etc/passwd", "filename=\".._.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd"),
        (
            "a\r\nSet-Cookie: x",
            "filename=\"a__Set-Cookie_ x\"; filename*=UTF-8''a__Set-Cookie%3A%20x",
        ),
        ("fdp.\u202eexe", "filename=\"fdp._exe\"; filename*=UTF-8''fdp._exe"),
        ("100%.txt", "filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("", "filename=\"\"; filename*=UTF-8''"),
    ],
)
async def test_a_name_is_nothing_but_a_name(tmp_path: Path, name: str, disposition: str) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"x", "text/plain")
        reply = await get(house, await house.download(Shown(name, "text/plain")))
        assert reply.headers["content-disposition"] == f"attachment; {disposition}"


@pytest.mark.parametrize("mime", ["", "x", "a/b\r\nSet-Cookie: x", "text/plain\n", "t/ä"])
async def test_what_is_no_type_is_told_as_bytes(tmp_path: Path, mime: str) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"x", "text/plain")
        reply = await get(house, await house.download(Shown("x", mime)))
        assert reply.headers["content-type"] == "application/octet-stream"


async def test_a_connection_goes_on_after_an_object(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        target = await house.download()
        asking = await house.client(request(target) + request(target) + request("/after"))
        for _ in range(2):
            assert (await asking.reply()).body == DATA
        assert (await asking.reply()).body == b"well"


async def test_a_connection_ends_after_an_object_where_it_is_to(tmp_path: Path) -> None:
    async with transfer_house(tmp_path, keep_alive_requests=2) as house:
        await house.store.put("key", DATA, "application/pdf")
        target = await house.download()
        for data in (
            request(target) + request(target),
            request("/") + request(target),
            request(target, "Connection: close"),
            request(target, version="1.0"),
        ):
            asking = await house.client(data)
            reply = await asking.reply()
            if "connection" not in reply.headers:
                reply = await asking.reply()
            assert reply.headers["connection"] == "close"
            assert reply.body == DATA
            assert await asking.closed()


async def test_an_object_is_handed_out_under_tls(
    tmp_path: Path, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, trusting = contexts
    async with transfer_house(tmp_path, tls=server) as house:
        await house.store.put("key", DATA, "application/pdf")
        stream = trio.SSLStream(await house.here.connect(), trusting, server_hostname="localhost")
        asking = Client(stream)
        for lines, body in (((), DATA), (("Range: bytes=1-1000000",), DATA[1:1000001])):
            await asking.send(request(await house.download(), *lines))
            assert (await asking.reply()).body == body


# --- parts of it


@pytest.mark.parametrize(
    ("field", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes = 5-9", 5, 10),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=1000-99999999999", 1000, 3_000_000),
        ("bytes=-7", 2_999_993, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
    ],
)
async def test_a_range_is_answered_with_its_bytes(
    tmp_path: Path, field: str, first: int, end: int
) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        reply = await get(house, await house.download(), f"Range: {field}")
        assert (reply.status, reply.body) == (206, DATA[first:end])
        assert reply.headers["content-range"] == f"bytes {first}-{end - 1}/3000000"


@pytest.mark.parametrize("field", ["bytes=3000000-", "bytes=-0", "bytes=9000000-9000001"])
async def test_a_range_without_bytes_is_refused(tmp_path: Path, field: str) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        asking = await house.client(request(await house.download(), f"Range: {field}"))
        reply = await asking.reply()
        assert (reply.status, reply.error["code"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert reply.headers["content-range"] == "bytes */3000000"
        await asking.send(request("/after"))
        assert (await asking.reply()).status == 200


@pytest.mark.parametrize(
    "field", ["bytes=0-1,5-6", "bytes=", "bytes=-", "bytes=2-1", "lines=0-1", "bytes=a-b", "x"]
)
async def test_to_what_is_not_one_range_all_is_answered(tmp_path: Path, field: str) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"content", "text/plain")
        reply = await get(house, await house.download(), f"Range: {field}")
        assert (reply.status, reply.body) == (200, b"content")


async def test_a_download_goes_on_only_with_the_same_bytes(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"content", "text/plain")
        target = await house.download()
        for tag, status in (('"key"', 206), ('"other"', 200), ('W/"key"', 200), ("Fri", 200)):
            reply = await get(house, target, "Range: bytes=3-", f"If-Range: {tag}")
            assert reply.status == status
            assert reply.body == (b"tent" if status == 206 else b"content")


async def test_who_has_it_already_is_told_so(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"content", "text/plain")
        target = await house.download()
        for tags in ('"key"', '"a", W/"key"', "*"):
            reply = await get(house, target, f"If-None-Match: {tags}")
            assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"key"')
        assert (await get(house, target, 'If-None-Match: "a"')).body == b"content"


async def test_a_head_tells_what_a_get_would(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        asking = await house.client(
            request(await house.download(), method="HEAD") + request("/after")
        )
        reply = await asking.reply("HEAD")
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["content-length"] == "3000000"
        assert (await asking.reply()).status == 200
        await house.store.remove("key")
        reply = await get(house, await house.download(), method="HEAD")
        assert (reply.status, reply.body) == (404, b"")


async def test_what_is_empty_is_handed_out(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", b"", "text/plain")
        target = await house.download()
        assert (await get(house, target)).status == 200
        assert (await get(house, target, "Range: bytes=0-")).status == 416


# --- what is refused


async def test_what_is_gone_is_not_found(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        asking = await house.client(request(await house.download()))
        assert (await asking.reply()).error["code"] == "NOT_FOUND"
        await asking.send(request("/after"))
        assert (await asking.reply()).status == 200


@pytest.mark.parametrize(
    "change",
    [("signature=", "signature=A"), ("/key", "/kez"), (".pdf", ".exe"), ("%2Fpdf", "%2Fx")],
)
async def test_a_changed_address_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        reply = await get(house, (await house.download()).replace(*change))
        assert (reply.status, reply.error["code"]) == (403, "FORBIDDEN")


async def test_an_address_that_has_expired_is_refused(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        reply = await get(house, await house.download(lifetime=-1))
        assert (reply.status, reply.error["code"]) == (403, "FORBIDDEN")


async def test_what_is_fetched_has_no_body(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", DATA, "application/pdf")
        asking = await house.client(request(await house.download(), body=b"x"))
        assert (await asking.reply()).status == 400
        assert await asking.closed()


# --- slow clients


async def test_a_client_that_takes_nothing_is_closed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # the disk takes a moment of real time
    async with transfer_house(tmp_path, write_timeout=30) as house:
        await house.store.put("key", bytes(64 << 20), "application/pdf")
        began = trio.current_time()
        await house.client(request(await house.download()))
        await house.here.edge.wait_empty()
        assert 30 <= trio.current_time() - began <= 30 + LINGER


async def test_a_client_that_leaves_disturbs_nobody(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await house.store.put("key", bytes(64 << 20), "application/pdf")
        asking = await house.client(request(await house.download()))
        await asking.stream.receive_some(1)
        await asking.stream.aclose()
        await house.here.edge.wait_empty()
        await house.idle()
