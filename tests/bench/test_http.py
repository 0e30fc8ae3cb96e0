from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import pytest

from chat4all_bench.http import Answer, NoAnswer, Server, request

from .fake_server import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable


def ask(
    respond: Callable[[bytes], list[bytes] | None], times: int = 1, *, until: float = math.inf
) -> tuple[list[Answer], list[int]]:
    """The answers to so many requests one after the other, and the requests of each connection."""

    async def run() -> tuple[list[Answer], list[int]]:
        async with fake_server(respond) as (url, counts):
            server = Server(url)
            data = request("POST", "/v1/messages", server.name, body={"a": 1})
            try:
                return [await server.ask(data, until=until) for _ in range(times)], counts
            finally:
                server.close()

    return asyncio.run(run())


def test_a_request_says_who_asks_and_in_whose_name() -> None:
    data = request("GET", "/x", "host:1", token="t", user="alice")
    assert data == (
        b"GET /x HTTP/1.1\r\nHost: host:1\r\nAuthorization: Bearer t\r\n"
        b"X-On-Behalf-Of: alice\r\n\r\n"
    )


def test_a_body_is_sent_as_json_with_its_length() -> None:
    data = request("POST", "/x", "h", body={"a": 1})
    assert data.endswith(b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}')


def test_requests_one_after_the_other_share_a_connection() -> None:
    answers, counts = ask(lambda _: [answer(b'{"b":2}', 202)], times=3)
    assert answers == [Answer(202, b'{"b":2}')] * 3
    assert answers[0].json() == {"b": 2}
    assert counts == [3]


def test_an_answer_may_come_in_pieces() -> None:
    whole = answer(b"0123456789")
    answers, _ = ask(lambda _: [whole[:10], whole[10:30], whole[30:45], whole[45:]])
    assert answers == [Answer(200, b"0123456789")]


def test_a_refusal_tells_when_to_come_back() -> None:
    refusal = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"
    answers, _ = ask(lambda _: [refusal])
    assert answers == [Answer(503, b"", retry_after=2.0)]


def test_a_connection_that_is_said_to_end_is_not_used_again() -> None:
    answers, counts = ask(lambda _: [answer(b"x", last=True)], times=2)
    assert len(answers) == 2
    assert counts == [1, 1]


def test_a_connection_that_ends_without_an_answer_leaves_the_outcome_unknown() -> None:
    with pytest.raises(NoAnswer, match="closed"):
        ask(lambda _: None)


def test_nobody_who_listens_is_no_answer() -> None:
    async def run() -> None:
        await Server("http://127.0.0.1:1").call("GET", "/")

    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:1"):
        asyncio.run(run())


def test_a_request_that_no_connection_was_free_for_in_time_is_given_up() -> None:
    with pytest.raises(NoAnswer, match="no connection was free in time"):
        ask(lambda _: [answer(b"x")], until=time.monotonic() - 1)
