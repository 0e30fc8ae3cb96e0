"""The callback and its server keep what came as it came."""

from __future__ import annotations

import httpx2
import pytest

from chat4all_connectors.testing.callback import open_callback
from chat4all_connectors.testing.http_server import (
    Hangup,
    Request,
    Response,
    json_response,
    open_server,
)


async def test_a_call_is_kept_raw_and_answered_as_was_said() -> None:
    async with (
        open_callback() as callback,
        httpx2.AsyncClient(trust_env=False, verify=False) as client,
    ):
        callback.answers.append(Response(503, headers={"Retry-After": "3"}))
        refused = await client.post(
            callback.url, content=b'{"a":  1}', headers={b"X-Sign": b"\xe9=1"}
        )
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
        assert (await client.get(callback.url, params={"hub.mode": "subscribe"})).status_code == 200
    posted, asked = callback.take()
    assert (posted.method, posted.body) == ("POST", b'{"a":  1}')
    assert "x-sign" in posted.headers
    assert (asked.method, asked.query, asked.body) == ("GET", {"hub.mode": "subscribe"}, b"")
    assert callback.take() == []


async def test_a_handler_may_answer_or_hang_up_before_it_reads() -> None:
    async def handle(request: Request) -> Response:
        if request.path == "/gone":
            raise Hangup
        return json_response({"path": request.path}, 201, X_Y="1")

    async with (
        open_server(handle) as url,
        httpx2.AsyncClient(trust_env=False, verify=False) as client,
    ):
        for _ in range(2):  # over one connection
            answer = await client.post(f"{url}/a%20b", content=b"x" * 100_000)
            assert (answer.status_code, answer.json()) == (201, {"path": "/a b"})
            assert answer.headers["x-y"] == "1"
        with pytest.raises(httpx2.TransportError):
            await client.post(f"{url}/gone", content=b"x")
