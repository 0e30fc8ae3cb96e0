"""Blocking connections that are kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chat4all_bench.files.connections import Connections, Failed
from tests.bench.fake_server import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable


def ask(respond: Callable[[bytes], list[bytes] | None], times: int) -> tuple[list[bytes], int]:
    """What is answered to so many requests one after the other, and the connections it took."""

    async def main() -> tuple[list[bytes], int]:
        connections, said = Connections(), list[bytes]()

        def once(url: str) -> None:
            with connections.ask("PUT", f"{url}/a?b=c", {"X-A": "1"}, [b"one", b"two"]) as came:
                said.append(came.read())

        async with fake_server(respond) as (url, counts):
            for _ in range(times):
                await asyncio.to_thread(once, url)
            connections.close()
            return said, len(counts)

    return asyncio.run(main())


def test_a_body_in_pieces_goes_with_its_length_and_the_connection_is_kept() -> None:
    heard: list[bytes] = []

    def respond(data: bytes) -> list[bytes]:
        heard.append(data)
        return [answer(b"yes")]

    assert ask(respond, 2) == ([b"yes", b"yes"], 1)
    assert heard[0].startswith(b"PUT /a?b=c HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 6\r\n" in heard[0]
    assert heard[0].endswith(b"\r\n\r\nonetwo")


def test_one_that_the_server_ended_is_not_used_again() -> None:
    assert ask(lambda _: [answer(b"yes", last=True)], 2) == ([b"yes", b"yes"], 2)


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(Failed, match="no answer: RemoteDisconnected"):
        ask(lambda _: None, 1)
