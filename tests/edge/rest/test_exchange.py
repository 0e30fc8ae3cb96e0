from __future__ import annotations

from typing import Any

import pytest
import trio
from quart import Response, request
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.edge.rest.exchange import Application


class Exchange:
    """One request to an application, made by hand."""

    def __init__(self, *events: dict[str, Any], length: int | None = None) -> None:
        self.app = Application("test", static_folder=None)
        self.app.config["MAX_CONTENT_LENGTH"] = 10
        self._events = list(events)
        self._more = trio.Event()
        self.received = 0
        self.sent: list[dict[str, Any]] = []
        self._headers = [] if length is None else [(b"content-length", b"%d" % length)]

    async def _receive(self) -> Any:
        if not self._events:
            await trio.sleep_forever()
        self.received += 1
        return self._events.pop(0)

    async def _send(self, event: Any) -> None:
        self.sent.append(event)

    async def run(self) -> None:
        scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), *self._headers],
            "client": ("127.0.0.1", 1),
        }
        await self.app(scope, self._receive, self._send)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def echoing(exchange: Exchange) -> Exchange:
    """Let its application hand back the body."""

    async def echo() -> Response:
        return Response(await request.get_data(cache=False))

    exchange.app.add_url_rule("/", view_func=echo, methods=["POST"])
    return exchange


async def test_a_body_is_put_together_from_its_parts() -> None:
    exchange = echoing(Exchange(part(b"01", more=True), part(b"", more=True), part(b"23")))
    await exchange.run()
    assert exchange.status == 200
    assert exchange.sent[1]["body"] == b"0123"


async def test_an_answer_that_is_there_whole_is_sent_as_a_head_and_one_body() -> None:
    exchange = echoing(Exchange(part(b"x")))
    await exchange.run()
    assert [each["type"] for each in exchange.sent] == [
        "http.response.start",
        "http.response.body",
    ]
    assert exchange.sent[1]["more_body"] is False


async def test_an_answer_that_comes_bit_by_bit_is_sent_so() -> None:
    exchange = Exchange(part(b""))

    async def stream() -> Response:
        async def bits() -> Any:
            yield b"a"
            yield b"b"

        return Response(bits())

    exchange.app.add_url_rule("/", view_func=stream, methods=["POST"])
    await exchange.run()
    assert [each.get("body") for each in exchange.sent] == [None, b"a", b"b", b""]


@pytest.mark.parametrize("length", [None, 11])
async def test_a_body_beyond_the_limit_is_too_large_announced_or_not(length: int | None) -> None:
    exchange = echoing(Exchange(part(b"0123456789", more=True), part(b"x"), length=length))
    await exchange.run()
    assert exchange.status == 413


async def test_a_body_that_is_announced_as_too_large_is_not_read() -> None:
    exchange = echoing(Exchange(part(b"x"), length=11))
    await exchange.run()
    assert exchange.received == 0


async def test_a_client_that_leaves_within_the_body_is_not_served() -> None:
    exchange = echoing(Exchange(part(b"01", more=True), {"type": "http.disconnect"}))
    await exchange.run()
    assert exchange.status == 400


async def test_a_handler_that_has_the_body_goes_on_when_its_client_leaves() -> None:
    exchange = Exchange(part(b"x"), {"type": "http.disconnect"})
    stored, done = trio.Event(), False

    async def store() -> Response:
        nonlocal done
        await request.get_data()
        await stored.wait()
        done = True
        return Response(b"")

    exchange.app.add_url_rule("/", view_func=store, methods=["POST"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await wait_all_tasks_blocked()
        stored.set()
    assert done


async def test_a_handler_that_wants_no_body_does_not_wait_for_it() -> None:
    exchange = Exchange()

    async def refuse() -> Response:
        return Response(b"no", status=403)

    exchange.app.add_url_rule("/", view_func=refuse, methods=["POST"])
    await exchange.run()
    assert exchange.status == 403
