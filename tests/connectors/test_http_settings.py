"""What a call has in it, and that the settings are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio

from chat4all_connectors.errors import Transient, UnknownOutcome
from chat4all_connectors.http import Bytes, Http, HttpSettings
from tests.connectors.test_http import ANSWER, never_answers, served, whole_request

if TYPE_CHECKING:
    import h11
    from trio.testing import MockClock


class Kept:
    """A peer that answers every call, and keeps their heads and how many connections there were."""

    def __init__(self) -> None:
        self.heads: list[h11.Request] = []
        self.connections = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        async with stream:
            while True:
                head, _ = await whole_request(stream)
                self.heads.append(head)
                await stream.send_all(ANSWER)


async def test_a_call_says_what_it_holds_and_asks_for_what_can_be_bounded() -> None:
    kept = Kept()
    async with served(kept) as scene:
        await scene.http.call(
            "POST",
            scene.url,
            params={"limit": "5"},
            headers={"Authorization": "Bearer x"},
            body=Bytes(b"{}"),
            sends=True,
        )
    [head] = kept.heads
    headers = dict(head.headers)
    assert head.target.endswith(b"?limit=5")
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"2"
    assert headers[b"accept-encoding"] == b"identity"
    assert headers[b"user-agent"] == b"chat4all"
    assert headers[b"authorization"] == b"Bearer x"


@pytest.mark.parametrize(("given", "read"), [(None, 3), (9, 9)])
async def test_every_wait_has_its_time(given: float | None, read: float) -> None:
    times: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        times.append(request.extensions["timeout"])
        raise httpx2.ReadTimeout("no")

    settings = HttpSettings(connect_seconds=1, write_seconds=2, read_seconds=3, pool_seconds=4)
    http = Http(settings, transport=httpx2.MockTransport(answer))
    with pytest.raises(Transient):
        await http.call("GET", "http://x.example/", sends=False, read_seconds=given)
    assert times == [{"connect": 1, "write": 2, "read": read, "pool": 4}]
    await http.aclose()


async def test_a_call_may_have_more_time_than_the_settings_say(autojump_clock: MockClock) -> None:
    async with served(never_answers, HttpSettings(read_seconds=5)) as scene:
        with pytest.raises(Transient):
            await scene.http.call("GET", scene.url, sends=False, read_seconds=40)
        assert trio.current_time() == pytest.approx(40, abs=1)


async def test_when_all_connections_are_busy_a_call_is_not_made(autojump_clock: MockClock) -> None:
    settings = HttpSettings(max_connections=1, pool_seconds=5)
    async with served(never_answers, settings) as scene, trio.open_nursery() as nursery:

        async def first() -> None:
            with pytest.raises(UnknownOutcome):
                await scene.send()

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Transient, match="busy"):
            await scene.send()


@pytest.mark.parametrize(("seconds", "connections"), [(15, 1), (0, 2)])
async def test_a_connection_serves_again_for_a_while(seconds: float, connections: int) -> None:
    kept = Kept()
    async with served(kept, HttpSettings(keep_alive_seconds=seconds)) as scene:
        for _ in range(2):
            await scene.send()
    assert kept.connections == connections


async def test_a_proxy_is_used_if_it_is_set_and_not_the_environment_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    kept = Kept()
    async with served(kept) as scene:
        await scene.send()
        proxied = Http(HttpSettings(proxy=scene.url.partition("/bot")[0]))
        await proxied.call("GET", "http://provider.example/x", sends=False)
        await proxied.aclose()
    assert kept.heads[-1].target == b"http://provider.example/x"
