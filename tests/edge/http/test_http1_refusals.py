"""What may be sent on an HTTP connection, and what is answered to the rest."""

from __future__ import annotations

import pytest

from tests.edge.apps import Client, Recorder, request
from tests.edge.house import LIVE, UPGRADE, House, house


async def client(here: House, data: bytes = b"") -> Client:
    return Client(await here.connect(data))


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 3", "Transfer-Encoding: chunked"], 400),
        (["Content-Length: 3", "Content-Length: 4"], 400),
        (["Content-Length: +3"], 400),
        (["Content-Length: 3, 4"], 400),
        (["Transfer-Encoding: gzip"], 501),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 501),
        (["Content-Encoding: gzip"], 415),
        (["Content-Encoding: identity, br"], 415),
        (["Expect: a miracle"], 417),
        (["Authorization: Bearer a", "authorization: Bearer b"], 400),
        (["Content-Type: application/json", "Content-Type: text/plain"], 400),
        (["Idempotency-Key: a", "Host-Of-None: b", "Idempotency-Key: a"], 400),
        (["Host: twice"], 400),
        ([": nothing"], 400),
        (["name : space"], 400),
        (["name: \0"], 400),
        (["name: a\rb"], 400),
        ([f"x{number}: y" for number in range(100)], 431),
        (["x: " + "y" * 16384], 431),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_fields_that_are_not_to_be_trusted_are_refused(
    lines: list[str], status: int, later: bool
) -> None:
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here)
        if later:
            await asking.send(request())
            assert (await asking.reply()).status == 200
        await asking.send(request("/", *lines, method="POST"))
        reply = await asking.reply("POST")
        assert reply.status == status
        assert reply.error["message"]
        assert reply.headers["connection"] == "close"
        assert await asking.closed()
    assert len(app.scopes) == later


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01 a TLS hello\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (request(method="get"), 400),
        (request("x:443", method="CONNECT"), 400),
        (request(method="CONNECT"), 400),
        (request("*", method="OPTIONS"), 400),
        (request("http://x/"), 400),
        (request("/a/../b"), 400),
        (request("//a"), 400),
        (request("/%2e%2e/b"), 400),
        (request("/a%00"), 400),
        (request("/a%zz"), 400),
        (request("/%ff"), 400),
        (request("/?a=%ff"), 400),
        (request("/?a=%00"), 400),
        (request("/#there"), 400),
        (request(host="a b"), 400),
        (request(host="a@b"), 400),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_what_is_no_proper_request_is_refused(data: bytes, status: int, later: bool) -> None:
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here)
        if later:
            await asking.send(request())
            assert (await asking.reply()).status == 200
        await asking.send(data)
        reply = await asking.reply()
        assert reply.status == status
        assert reply.error["message"]
        assert await asking.closed()
    assert len(app.scopes) == later


async def test_what_is_refused_for_head_has_no_body() -> None:
    async with house(app=Recorder()) as here:
        answer = await here.ask(request("/..", method="HEAD"))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"\r\n\r\n")


async def test_a_websocket_can_not_begin_on_a_connection_that_served_requests() -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here, request())
        await asking.reply()
        await asking.send(UPGRADE)
        reply = await asking.reply()
        assert reply.status == 400
        assert "open a new one" in reply.error["message"]
        assert await asking.closed()
        assert here.edge.sessions == {}
        await here.upgrade()


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "X!"])
async def test_a_method_that_is_not_known_is_the_routers(method: str) -> None:
    app = Recorder(405)
    async with house(app=app) as here:
        asking = await client(here, request(method=method))
        assert (await asking.reply()).status == 405
    assert [scope["method"] for scope in app.scopes] == [method]


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0"])
async def test_nothing_else_is_upgraded(upgrade: str) -> None:
    fields = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
    async with house(app=Recorder()) as here:
        asking = await client(here, request("/", *fields, f"Upgrade: {upgrade}"))
        assert (await asking.reply()).status == 200


async def test_health_is_answered_on_a_connection_that_served_requests_too() -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here, request())
        await asking.reply()
        await asking.send(LIVE)
        assert (await asking.reply()).body == b'{"status":"ok"}'
        assert await asking.closed()


async def test_another_host_is_refused_but_not_for_health() -> None:
    app = Recorder()
    async with house(app=app, allowed_hosts=["chat.example", "[::1]:8000"]) as here:
        for host in ("chat.example", "CHAT.example.:8000", "[0::1]:8000"):
            assert (await (await client(here, request(host=host))).reply()).status == 200
        for host in ("evil.example", "[::1]:8001", "chat.example.evil.example"):
            reply = await (await client(here, request(host=host))).reply()
            assert (reply.status, reply.error["details"]) == (400, {"field": "host"})
            assert "allowed_hosts" in reply.error["message"]
        assert (await here.ask(UPGRADE)).startswith(b"HTTP/1.1 400 ")
        assert (await here.ask(LIVE)).startswith(b"HTTP/1.1 200 ")
    assert len(app.scopes) == 3


async def test_the_address_of_a_client_is_what_trusted_proxies_tell() -> None:
    app = Recorder()
    fields = ["X-Forwarded-For: 9.9.9.9, 2001:DB8::0:1", "X-Forwarded-Proto: https"]
    async with house(app=app, trusted_proxies=["127.0.0.0/8"]) as here:
        asking = await client(here, request("/", *fields))
        assert "strict-transport-security" in (await asking.reply()).headers
        await asking.send(request())
        await asking.reply()
    async with house(app=app) as here:
        assert (await (await client(here, request("/", *fields))).reply()).status == 200
    found = [(scope["client"][0], scope["scheme"]) for scope in app.scopes]
    assert found == [("2001:db8::1", "https"), ("127.0.0.1", "http"), ("127.0.0.1", "http")]
