"""Parts that are put at their addresses, and what is not taken."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.http import part_upload
from tests.edge.apps import Client, request
from tests.edge.http.transfer_house import PART, head, transfer_house

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from trio.testing import MockClock

BODY = random.Random(3).randbytes(PART)


async def test_a_part_is_put_and_answered_when_it_stands(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        asking = await house.client(head(await house.target()) + BODY)
        reply = await asking.reply("PUT")
        assert (reply.status, reply.body) == (200, b"")
        (part,) = await house.store.parts("key", house.name)
        assert (part.size, reply.headers["etag"]) == (PART, f'"{part.tag}"')
        assert await house.joined() == BODY


async def test_a_connection_goes_on_after_a_part_with_whatever_comes_next(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        # All at once: the head of the next request stands right behind the body before it.
        asking = await house.client(
            request("/before")
            + head(await house.target(1))
            + BODY
            + head(await house.target(2))
            + BODY
            + request("/between", body=b"its body", method="POST")
            + head(await house.target(3, 5), size=5)
            + b"short"
        )
        for method in ("GET", "PUT", "PUT", "POST", "PUT"):
            reply = await asking.reply(method)
            assert reply.status == 200
            assert "connection" not in reply.headers
        assert house.app.bodies == [b"", b"its body"]
        assert await house.joined() == BODY + BODY + b"short"


async def test_pieces_come_as_they_come(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        asking = await house.client()
        data, source = head(await house.target()) + BODY, random.Random(4)
        while data:
            size = source.choice([1, 3, 1000, 100_000])
            await asking.send(data[:size])
            await wait_all_tasks_blocked()
            data = data[size:]
        assert (await asking.reply("PUT")).status == 200
        assert await house.joined() == BODY


async def test_a_part_is_put_under_tls(
    tmp_path: Path, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, trusting = contexts
    async with transfer_house(tmp_path, tls=server) as house:
        stream = trio.SSLStream(await house.here.connect(), trusting, server_hostname="localhost")
        asking = Client(stream)
        await asking.send(head(await house.target()) + BODY)
        reply = await asking.reply("PUT")
        assert reply.status == 200
        assert "strict-transport-security" in reply.headers
        assert await house.joined() == BODY


async def test_a_client_that_asks_whether_to_send_is_told_so(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        target = await house.target()
        asking = await house.client(head(target, "Expect: 100-continue"))
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        got = b""
        while len(got) < len(interim):
            got += await asking.stream.receive_some(len(interim) - len(got))
        assert got == interim
        await asking.send(BODY)
        assert (await asking.reply("PUT")).status == 200
        refused = await house.client(head(target, "Expect: 100-continue", size=PART + 1))
        assert (await refused.reply("PUT")).status == 413


# --- what is refused before a byte of it is read


async def test_a_part_has_the_size_of_its_address(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        target = await house.target()
        for size, status in ((PART + 1, 413), (PART - 1, 400), (0, 400), (1 << 40, 413)):
            reply = await (await house.client(head(target, size=size))).reply("PUT")
            assert (reply.status, reply.error["details"]) == (status, {"field": "content-length"})
        assert await house.parts() == []


async def test_a_part_is_sent_with_its_length(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        target = await house.target()
        for lines in ([], ["Transfer-Encoding: chunked"]):
            reply = await (await house.client(head(target, *lines, size=None))).reply("PUT")
            assert (reply.status, reply.error["code"]) == (411, "LENGTH_REQUIRED")


async def test_other_requests_have_no_larger_bodies_for_it(tmp_path: Path) -> None:
    async with transfer_house(tmp_path, max_body=1024) as house:
        asking = await house.client(head("/v1/messages", size=1025))
        assert (await asking.reply("PUT")).status == 413


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (("signature=", "signature=A"), 403, "FORBIDDEN"),
        (("/key/1", "/key/2"), 403, "FORBIDDEN"),
        (("/key/1", "/kez/1"), 403, "FORBIDDEN"),
        (("?", "?x=1&"), 403, "FORBIDDEN"),
        (("/key/1", "/key"), 405, "METHOD_NOT_ALLOWED"),
        (("/key/1", "/key/one"), 404, "NOT_FOUND"),
        (("/key/1", "/"), 404, "NOT_FOUND"),
        (("/key/1", "/../key/1"), 400, "INVALID_PAYLOAD"),
        (("/key/1", "/%2e%2e/key/1"), 400, "INVALID_PAYLOAD"),
        (("/key/1", "/key%2f..%2fkey/1"), 400, "INVALID_PAYLOAD"),
    ],
)
async def test_only_an_address_that_was_given_out_is_served(
    tmp_path: Path, change: tuple[str, str], status: int, code: str
) -> None:
    async with transfer_house(tmp_path) as house:
        target = (await house.target()).replace(*change)
        reply = await (await house.client(head(target))).reply("PUT")
        assert (reply.status, reply.error["code"]) == (status, code)
        assert reply.headers["connection"] == "close"
        assert await house.parts() == []
        assert house.app.scopes == []


async def test_an_address_is_good_for_one_method_and_its_time(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        target = await house.target()
        for method in ("GET", "POST", "DELETE", "PATCH", "OPTIONS"):
            reply = await (await house.client(head(target, method=method, size=None))).reply()
            assert (reply.status, reply.headers["allow"]) == (405, "PUT")
        late = await house.target(lifetime=-1)
        reply = await (await house.client(head(late))).reply("PUT")
        assert (reply.status, reply.error["code"]) == (403, "FORBIDDEN")


async def test_an_upload_that_is_over_takes_nothing(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        target = await house.target()
        await house.store.remove("key")
        reply = await (await house.client(head(target))).reply("PUT")
        assert (reply.status, reply.error["code"]) == (404, "NOT_FOUND")


async def test_an_upload_that_ends_meanwhile_takes_no_more(tmp_path: Path) -> None:
    async with transfer_house(tmp_path) as house:
        await (await house.client(head(await house.target()) + BODY)).reply("PUT")
        asking = await house.client(head(await house.target()) + b"evil")
        await wait_all_tasks_blocked()
        assert await house.joined() == BODY
        await asking.send(BODY[4:])
        assert (await asking.reply("PUT")).status == 404
        assert await house.read() == BODY


# --- types


async def test_what_begins_like_something_else_is_refused_at_once(tmp_path: Path) -> None:
    judged: list[tuple[bytes, str]] = []

    def judge(first: bytes, mime: str) -> str | None:
        judged.append((first, mime))
        return None if first.startswith(b"MZ") else mime

    async with transfer_house(tmp_path, judge_head=judge) as house:
        target = await house.target()
        asking = await house.client(head(target) + b"MZ" + BODY[: PART // 2])
        reply = await asking.reply("PUT")
        assert (reply.status, reply.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert reply.error["details"] == {"field": "mime_type"}
        assert await house.parts() == []
        asking = await house.client(head(target) + BODY)
        assert (await asking.reply("PUT")).status == 200
        await asking.send(head(await house.target(2)) + b"MZ" + BODY[2:])
        assert (await asking.reply("PUT")).status == 200  # it is not where a file begins
    assert judged == [(b"MZ" + BODY[:8190], "application/pdf"), (BODY[:8192], "application/pdf")]


async def test_a_short_part_is_judged_by_all_of_it(tmp_path: Path) -> None:
    judged: list[bytes] = []

    def judge(first: bytes, mime: str) -> str:
        judged.append(first)
        return mime

    async with transfer_house(tmp_path, judge_head=judge) as house:
        asking = await house.client(head(await house.target(1, 3), size=3) + b"a")
        await wait_all_tasks_blocked()
        await asking.send(b"bc")
        assert (await asking.reply("PUT")).status == 200
    assert judged == [b"abc"]


# --- clients that leave


@pytest.mark.parametrize("sent", [0, 1, 300_000, PART - 1])
@pytest.mark.parametrize("how", ["close", "say no more", "reset"])
async def test_a_body_that_ends_too_early_is_no_part(tmp_path: Path, sent: int, how: str) -> None:
    async with transfer_house(tmp_path) as house:
        before = len(os.listdir("/proc/self/fd"))
        asking = await house.client(head(await house.target()) + BODY[:sent])
        await wait_all_tasks_blocked()
        assert isinstance(asking.stream, trio.SocketStream)
        if how == "say no more":
            await asking.stream.send_eof()
            assert await asking.closed()
        elif how == "reset":
            asking.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0" * 2)
        await asking.stream.aclose()
        await house.here.edge.wait_empty()
        await house.idle()
        assert await house.parts() == []
        assert len(os.listdir("/proc/self/fd")) <= before
        asking = await house.client(head(await house.target()) + BODY)
        assert (await asking.reply("PUT")).status == 200
        assert await house.joined() == BODY


async def test_a_part_must_come_at_a_certain_rate(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05  # the disk takes a moment of real time
    async with transfer_house(
        tmp_path, body_grace=10, min_transfer_rate=10_000, body_timeout=20
    ) as house:
        asking = await house.client(head(await house.target()))
        for at in range(0, PART, 20_000):  # 60 s, over `body_timeout`, but at twice the rate
            await trio.sleep(2)
            await asking.send(BODY[at : at + 20_000])
        assert (await asking.reply("PUT")).status == 200
        began = trio.current_time()
        await asking.send(head(await house.target(2)) + BODY[:10_000])
        reply = await asking.reply("PUT")
        assert (reply.status, reply.error["code"]) == (408, "TIMEOUT")
        assert trio.current_time() - began == pytest.approx(11, abs=0.1)
        assert await house.parts() == [1]


async def test_a_byte_now_and_then_does_not_keep_a_part_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thread that waits for the next byte gives up its turn here after each.
    monkeypatch.setattr(part_upload, "TURN", 0)
    async with transfer_house(tmp_path, body_grace=0.3, min_transfer_rate=1_000_000) as house:
        asking = await house.client(head(await house.target()))
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in BODY:
                    await asking.send(bytes([byte]))
                    await trio.sleep(0.001)

            nursery.start_soon(drip)
            assert (await asking.reply("PUT")).status == 408
            nursery.cancel_scope.cancel()
        assert await house.parts() == []
