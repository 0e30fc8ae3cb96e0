"""What may be sent on an HTTP connection, and what is answered to the rest."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.edge.apps import Client, Recorder, request
from tests.edge.house import LIVE, UPGRADE, House, everything, house


async def client(here: House, data: bytes = b"") -> Client:
    return Client(await here.connect(data))


async def test_a_request_is_answered_by_the_application() -> None:
    app = Recorder(201, b'{"a":1}')
    async with house(app=app) as here:
        asking = await client(here, request("/v1/a%20b?c=%C3%A9", method="POST", body=b"{}"))
        reply = await asking.reply("POST")
        assert (reply.status, reply.body) == (201, b'{"a":1}')
        assert reply.headers["date"].endswith(" GMT")
        assert "server" not in reply.headers
    (scope,) = app.scopes
    assert (scope["method"], scope["path"], scope["query_string"]) == (
        "POST",
        "/v1/a b",
        b"c=%C3%A9",
    )
    assert (scope["scheme"], scope["http_version"]) == ("http", "1.1")
    assert scope["client"][0] == "127.0.0.1"
    assert scope["server"] == here.address
    assert app.bodies == [b"{}"]


async def test_the_status_is_told_in_words_too() -> None:
    async with house(app=Recorder(409)) as here:
        answer = await here.ask(request("/", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 409 Conflict\r\n")


async def test_a_connection_serves_one_request_after_the_other() -> None:
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here)
        for number in range(3):
            await asking.send(request(f"/{number}", method="POST", body=b"x" * number))
            assert (await asking.reply("POST")).status == 200
        assert here.edge.open == 1
    assert [scope["path"] for scope in app.scopes] == ["/0", "/1", "/2"]
    assert app.bodies == [b"", b"x", b"xx"]


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    app = Recorder()
    app.go = trio.Event()
    async with house(app=app) as here:
        asking = await client(here, b"".join(request(f"/{number}") for number in range(5)))
        await wait_all_tasks_blocked()
        assert [scope["path"] for scope in app.scopes] == ["/0"]
        app.go.set()
        for _ in range(5):
            assert (await asking.reply()).status == 200
    assert [scope["path"] for scope in app.scopes] == [f"/{number}" for number in range(5)]


async def test_a_head_may_come_in_pieces_and_so_may_a_body() -> None:
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here)
        for _ in range(2):
            for byte in request("/", method="PUT", body=b"body"):
                await asking.send(bytes([byte]))
                await wait_all_tasks_blocked()
            assert (await asking.reply("PUT")).status == 200
    assert app.bodies == [b"body", b"body"]


async def test_who_asks_for_the_end_of_the_connection_gets_it() -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here, request("/", "Connection: close"))
        assert (await asking.reply()).headers["connection"] == "close"
        assert await asking.closed()


async def test_http_1_0_is_answered_and_closed() -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here, request(version="1.0"))
        assert (await asking.reply()).status == 200
        assert await asking.closed()


async def test_a_connection_has_only_so_many_requests() -> None:
    async with house(app=Recorder(), keep_alive_requests=2) as here:
        asking = await client(here, request() * 3)
        assert "connection" not in (await asking.reply()).headers
        assert (await asking.reply()).headers["connection"] == "close"
        assert await asking.closed()


async def test_an_answer_to_head_has_no_body() -> None:
    async with house(app=Recorder()) as here:
        asking = await client(here)
        for _ in range(2):
            await asking.send(request(method="HEAD"))
            reply = await asking.reply("HEAD")
            assert (reply.headers["content-length"], reply.body) == ("4", b"")


async def test_a_client_that_says_no_more_still_gets_its_answer() -> None:
    app = Recorder()
    app.go = trio.Event()
    async with house(app=app) as here:
        asking = await client(here, request())
        assert isinstance(asking.stream, trio.SocketStream)
        await asking.stream.send_eof()
        await wait_all_tasks_blocked()
        app.go.set()
        assert (await asking.reply()).status == 200
        assert await asking.closed()


async def test_an_application_is_told_that_its_client_has_gone() -> None:
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here, request("/", "Content-Length: 5", method="POST") + b"abc")
        await wait_all_tasks_blocked()
        await asking.stream.aclose()
        await here.edge.wait_empty()
    assert app.bodies == []


async def test_an_application_need_not_read_what_it_is_sent() -> None:
    app = Recorder(413)
    app.reads = False
    async with house(app=app, max_body=1_000_000) as here:
        asking = await client(here, request("/", "Content-Length: 900000", method="POST"))
        assert (await asking.reply("POST")).status == 413
        await asking.send(b"x" * 900_000)  # is read and dropped, so that the answer is not lost
        await asking.stream.aclose()
        await here.edge.wait_empty()


# Bodies


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


# Whatever is sent


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [
                    request("/a", method="POST", body=b"body"),
                    request("/b"),
                    b"GET / HTTP/1.1\r\n",
                    b"Host: x\r\n",
                    b"Content-Length: 3\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Connection: close\r\n",
                    b"\r\n",
                    b"3\r\nabc\r\n",
                    b"0\r\n\r\n",
                    UPGRADE[:-2],
                    LIVE,
                ]
            ),
        ),
        max_size=6,
    ).map(b"".join)
)
async def test_every_answer_to_whatever_is_sent_is_http(data: bytes) -> None:
    app = Recorder()
    async with house(app=app) as here:  # which sees to it that no task has failed
        stream = await here.connect(data)
        await stream.send_eof()
        answers = await everything(stream)
        await stream.aclose()
    while answers and not answers.startswith(b"HTTP/1.1 101 "):
        head, _, rest = answers.partition(b"\r\n\r\n")
        match = re.search(rb"\ncontent-length: (\d+)", head.lower())
        assert head.startswith(b"HTTP/1.1 ")
        assert match is not None
        answers = rest[int(match[1]) :]
    assert len(app.bodies) <= len(app.scopes)
    assert {scope["path"] for scope in app.scopes} <= {"/", "/a", "/b"}


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, 400)))
async def test_how_requests_are_cut_makes_no_difference(cuts: set[int]) -> None:
    chunked = (
        request("/c", "Transfer-Encoding: chunked", method="PUT") + b"3;x=y\r\nabc\r\n0\r\n\r\n"
    )
    data = request("/a", method="POST", body=b"body") + request("/b") + chunked
    app = Recorder()
    async with house(app=app) as here:
        asking = await client(here)
        for start, end in pairwise(
            sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        ):
            await asking.send(data[start:end])
            await wait_all_tasks_blocked()
        for _ in range(3):
            assert (await asking.reply()).status == 200
    assert app.bodies == [b"body", b"", b"abc"]


# What is no request for the application


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
