"""What may be sent on an HTTP connection, and what is answered to the rest."""

from __future__ import annotations

import re
from itertools import pairwise

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
