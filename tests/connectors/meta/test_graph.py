from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from msgspec import Struct

from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    SendError,
    Throttled,
    Transient,
    UnknownOutcome,
)
from chat4all_connectors.meta.graph import Graph
from chat4all_connectors.meta.settings import GraphSettings
from chat4all_connectors.testing.uploads import MemoryUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Answer(Struct):
    id: str


class Network:
    """Answers every call alike, and keeps them."""

    def __init__(
        self, status: int = 200, body: object = None, headers: dict[str, str] | None = None
    ) -> None:
        self.calls: list[httpx2.Request] = []
        self.bodies: list[bytes] = []
        self._status = status
        self._body = body if isinstance(body, bytes) else json.dumps(body or {"id": "7"}).encode()
        self._headers = headers

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self.bodies.append(b"".join([piece async for piece in request.stream]))
        return httpx2.Response(self._status, headers=self._headers, content=self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._body


def graph(network: Network, **more: Any) -> Graph:
    settings = GraphSettings(
        access_token="tok/en", app_secret="secret", verify_token="verify", **more
    )
    return Graph(settings, {}, transport=httpx2.MockTransport(network.answer))


async def failure(network: Network, *, sends: bool) -> SendError:
    with pytest.raises(SendError) as caught:
        await graph(network).post("1/messages", {"to": "x"}, Answer, sends=sends)
    return caught.value


async def test_a_call_has_its_token_in_a_header_alone() -> None:
    network = Network()
    assert await graph(network).get("12", Answer, fields="id,name") == Answer("7")
    [call] = network.calls
    assert str(call.url) == "https://graph.facebook.com/v26.0/12?fields=id%2Cname"
    assert call.headers["authorization"] == "Bearer tok/en"
    assert call.method == "GET"


async def test_an_id_is_one_part_of_the_path_whatever_is_in_it() -> None:
    network = Network()
    await graph(network, base_url="http://x:1/").get("a?b#c d/edge", Answer)
    assert str(network.calls[0].url) == "http://x:1/v26.0/a%3Fb%23c%20d/edge"


async def test_a_call_proves_that_it_knows_the_secret_if_it_has_to() -> None:
    network = Network()
    await graph(network, appsecret_proof=True).post("1/messages", {}, Answer, sends=True)
    assert len(network.calls[0].url.params["appsecret_proof"]) == 64


async def test_a_post_is_json() -> None:
    network = Network()
    await graph(network).post("1/messages", {"text": "olá"}, Answer, sends=True)
    assert network.calls[0].method == "POST"
    assert network.calls[0].headers["content-type"] == "application/json"
    assert json.loads(network.bodies[0]) == {"text": "olá"}


async def test_an_upload_is_a_form() -> None:
    network = Network()
    file = MemoryUpload(b"bytes", name="a.png", mime="image/png")
    await graph(network).upload("1/media", {"type": "image/png"}, "file", file, Answer)
    assert network.calls[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert network.calls[0].method == "POST"
    assert b'name="type"\r\n\r\nimage/png\r\n' in network.bodies[0]
    assert b'name="file"; filename="a.png"\r\n' in network.bodies[0]
    assert b"\r\nbytes\r\n" in network.bodies[0]


async def test_what_nobody_sees_may_be_repeated_when_its_answer_can_not_be_read() -> None:
    network = Network(200, b"<html>")
    with pytest.raises(Transient):
        await graph(network).get("1", Answer)
    with pytest.raises(Transient):
        await graph(network).upload("1/media", {}, "file", MemoryUpload(b"x"), Answer)


@pytest.mark.parametrize("sends", [True, False])
async def test_an_error_object_decides_by_its_code(sends: bool) -> None:
    error = {"error": {"message": "m", "code": 4, "fbtrace_id": "T"}}
    header = '{"1":[{"estimated_time_to_regain_access":2}]}'
    network = Network(500, error, {"X-Business-Use-Case-Usage": header})
    throttled = await failure(network, sends=sends)
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after == 120


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_an_error_without_an_object_may_hide_what_graph_did(status: int) -> None:
    assert type(await failure(Network(status, b"<html>"), sends=True)) is UnknownOutcome
    assert type(await failure(Network(status, b"<html>"), sends=False)) is Transient


@pytest.mark.parametrize(
    ("status", "class_"),
    [
        (408, Transient),
        (425, Transient),
        (429, Transient),
        (503, Transient),
        (400, Refused),
        (404, Refused),
        (302, Misconfigured),
    ],
)
async def test_other_answers_without_an_object(status: int, class_: type[SendError]) -> None:
    error = await failure(Network(status, b""), sends=True)
    assert (type(error), error.code) == (class_, str(status))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":7}', b"[" * 100_000], ids=range(5))
async def test_an_answer_that_can_not_be_read_leaves_open_what_was_done(body: bytes) -> None:
    assert type(await failure(Network(200, body), sends=True)) is UnknownOutcome
    assert type(await failure(Network(200, body), sends=False)) is Transient


async def test_usage_comes_with_an_answer() -> None:
    network = Network(headers={"X-App-Usage": '{"call_count":91}'})
    _, use = await graph(network).ask("1", Answer)
    assert use.percent == 91


# --- files


async def fetched(network: Network, url: str, **more: Any) -> bytes:
    async with graph(network, **more).fetch(url, with_token=True) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize(
    "url",
    [
        "https://lookaside.fbsbx.com/whatsapp/?mid=1",
        "https://scontent.xx.fbcdn.net/v/1.jpg",
        "https://scontent.cdninstagram.com/v/1.jpg",
        "https://mmg.whatsapp.net/v/1",
        "https://lookaside.fbsbx.com:443/1",
        "https://graph.facebook.com/v26.0/file",
    ],
)
async def test_files_come_from_meta(url: str) -> None:
    network = Network(200, b"content")
    assert await fetched(network, url) == b"content"
    assert network.calls[0].headers["authorization"] == "Bearer tok/en"


@pytest.mark.parametrize(
    "url",
    [
        "http://lookaside.fbsbx.com/1",
        "https://fbsbx.com.example.org/1",
        "https://evilfbsbx.com/1",
        "https://lookaside.fbsbx.com:8443/1",
        "https://user@lookaside.fbsbx.com/1",
        "http://graph.facebook.com/v26.0/file",
        "http://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::1",
        "https://lookaside.fbsbx.com:99999999/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_nothing_comes_from_elsewhere_and_no_token_goes_there(url: str) -> None:
    network = Network(200, b"content")
    with pytest.raises(Refused):
        await fetched(network, url)
    assert network.calls == []


async def test_a_file_is_no_larger_than_it_may_be() -> None:
    with pytest.raises(Refused):
        await fetched(Network(200, b"x" * 11), "https://a.fbcdn.net/1", download_max_bytes=10)


@pytest.mark.parametrize(
    ("status", "class_"),
    [
        (302, Refused),
        (401, Refused),
        (403, Refused),
        (404, Refused),
        (408, Transient),
        (425, Transient),
        (429, Transient),
        (500, Transient),
    ],
)
async def test_a_file_that_is_not_handed_over_concerns_nothing_else(
    status: int, class_: type[SendError]
) -> None:
    with pytest.raises(class_, match="hand"):
        await fetched(Network(status, b"URL signature expired"), "https://a.fbcdn.net/1")


async def test_a_code_that_is_not_known_is_judged_by_its_status() -> None:
    error = {"error": {"message": "m", "code": 77777}}
    assert type(await failure(Network(500, error), sends=True)) is Transient
    assert type(await failure(Network(400, error), sends=True)) is Refused
