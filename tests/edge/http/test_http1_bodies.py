"""What may be sent on an HTTP connection, and what is answered to the rest."""

from __future__ import annotations

import pytest
from trio.testing import wait_all_tasks_blocked

from tests.edge.apps import Client, Recorder, request
from tests.edge.house import House, house


async def client(here: House, data: bytes = b"") -> Client:
    return Client(await here.connect(data))


async def test_who_expects_to_be_told_to_go_on_is_told() -> None:
    app = Recorder()
    async with house(app=app) as here:
        expecting = request("/", "Expect: 100-continue", "Content-Length: 4", method="POST")
        asking = await client(here, expecting)
        assert (await asking.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await asking.send(b"body")
        assert (await asking.reply("POST")).status == 200
    assert app.bodies == [b"body"]


async def test_who_expects_it_for_too_much_is_not() -> None:
    app = Recorder()
    async with house(app=app, max_body=1024) as here:
        expecting = request("/", "Expect: 100-continue", "Content-Length: 1025", method="POST")
        answer = await here.ask(expecting)
        assert answer.startswith(b"HTTP/1.1 413 ")
    assert app.scopes == []


async def test_providers_may_tell_of_more_where_they_call_back() -> None:
    app = Recorder()
    async with house(app=app, max_body=1024, channel_callback_max_body=64 * 1024) as here:
        for path in ("/v1/channels/telegram/webhook", "/v1/channels/telegram/support/webhook"):
            asking = await client(here, request(path, "Content-Length: 65536", method="POST"))
            await asking.send(b"x" * 65536)
            assert (await asking.reply("POST")).status == 200
            await asking.send(request(path, "Content-Length: 65537", method="POST"))
            assert (await asking.reply("POST")).status == 413
        for path in ("/v1/channels/telegram", "/v1/webhook", "/webhook"):
            asking = await client(here, request(path, "Content-Length: 1025", method="POST"))
            assert (await asking.reply("POST")).status == 413


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    app = Recorder()
    async with house(app=app, max_body=1024) as here:
        asking = await client(here, request("/", "Content-Length: 1024", method="POST"))
        await asking.send(b"x" * 1024)
        assert (await asking.reply("POST")).status == 200
        await asking.send(request("/", "Content-Length: 1025", method="POST"))
        reply = await asking.reply("POST")
        assert (reply.status, reply.error["code"]) == (413, "TOO_LARGE")
        assert reply.error["details"] == {"max_bytes": 1024}
        assert reply.headers["connection"] == "close"
        assert await asking.closed()
    assert len(app.scopes) == 1


async def test_a_body_in_chunks_is_refused_where_it_passes_the_limit() -> None:
    app = Recorder()
    chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
    async with house(app=app, max_body=1024) as here:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        asking = await client(here, head + chunk * 4 + b"0\r\n\r\n")
        assert (await asking.reply("POST")).status == 200
        await asking.send(head + chunk * 4)
        await wait_all_tasks_blocked()
        await asking.send(b"1\r\nx\r\n")
        assert (await asking.reply("POST")).error["code"] == "TOO_LARGE"
        assert await asking.closed()
    assert app.bodies == [b"x" * 1024]


async def test_a_body_in_tiny_chunks_is_refused() -> None:
    app = Recorder()
    async with house(app=app) as here:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        asking = await client(here, head + b"1\r\nx\r\n" * 1000)
        reply = await asking.reply("POST")
        assert (reply.status, reply.error["message"]) == (
            400,
            "the chunks of the body are too small",
        )


async def test_an_endless_chunk_extension_is_refused() -> None:
    async with house(app=Recorder(), max_head=1024) as here:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        asking = await client(here, head + b"1;" + b"x" * 5000)
        assert (await asking.reply("POST")).status == 431


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"1\r\nxx\r\n", b"-1\r\n", b"1" * 30 + b"\r\n", b"1\r\nx\n0\r\n"]
)
async def test_chunks_that_are_none_are_refused(body: bytes) -> None:
    app = Recorder()
    async with house(app=app) as here:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        asking = await client(here, head + body)
        assert (await asking.reply("POST")).status == 400
    assert app.bodies == []
