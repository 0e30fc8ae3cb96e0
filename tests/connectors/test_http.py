"""Whether a call went out is known, whatever becomes of it; answers are bounded."""

from __future__ import annotations

import logging
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import h11
import pytest
import trio

from chat4all_connectors.errors import (
    Misconfigured,
    Refused,
    SendError,
    Transient,
    UnknownOutcome,
)
from chat4all_connectors.http import Answer, Bytes, Http, HttpSettings
from chat4all_connectors.multipart import Multipart
from chat4all_connectors.testing.uploads import MemoryUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Peer = Callable[[trio.SocketStream], Awaitable[None]]

TOKEN = "12345:secret"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: 1\r\n\r\nok"


@asynccontextmanager
async def served(peer: Peer, settings: HttpSettings | None = None) -> AsyncIterator[Scene]:
    """A server that does this with each connection, and a client."""

    async def patient(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
            await peer(stream)  # which the client may leave

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, patient, [listener])
        http = Http(settings or HttpSettings())
        port = listener.socket.getsockname()[1]
        yield Scene(http, f"http://127.0.0.1:{port}/bot{TOKEN}")
        await http.aclose()
        nursery.cancel_scope.cancel()


class Scene:
    def __init__(self, http: Http, url: str) -> None:
        self.http = http
        self.url = url

    async def send(self, *, sends: bool = True) -> Answer:
        return await self.http.call(
            "POST", f"{self.url}/sendMessage", body=Bytes(b'{"text":"hi"}'), sends=sends
        )


async def whole_request(stream: trio.SocketStream) -> tuple[h11.Request, bytes]:
    connection = h11.Connection(h11.SERVER)
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return head, body
        else:
            raise trio.BrokenResourceError  # the client has left between two calls


def answers(content: bytes) -> Peer:
    async def peer(stream: trio.SocketStream) -> None:
        async with stream:
            await whole_request(stream)
            await stream.send_all(content)

    return peer


async def closes_at_once(stream: trio.SocketStream) -> None:
    await stream.aclose()


async def never_answers(stream: trio.SocketStream) -> None:
    await whole_request(stream)
    await trio.sleep_forever()


async def test_an_answer_comes_with_status_and_headers() -> None:
    async with served(answers(ANSWER)) as scene:
        answer = await scene.send()
    assert (answer.status, answer.headers["x-y"], answer.body) == (200, "1", b"ok")


async def test_an_error_is_an_answer_and_a_redirect_is_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    async with served(answers(redirect)) as scene:
        assert (await scene.send()).status == 302


async def test_nobody_listens() -> None:
    http = Http(HttpSettings())
    with pytest.raises(Transient, match="can't be reached"):
        await http.call("POST", "http://127.0.0.1:1/x", body=Bytes(b"{}"), sends=True)
    await http.aclose()


@pytest.mark.parametrize(("sends", "error"), [(True, UnknownOutcome), (False, Transient)])
async def test_a_connection_lost_once_the_call_was_out(sends: bool, error: type[SendError]) -> None:
    async with served(answers(b"")) as scene:
        with pytest.raises(error, match="broke off"):
            await scene.send(sends=sends)


@pytest.mark.parametrize(("sends", "error"), [(True, UnknownOutcome), (False, Transient)])
async def test_an_answer_that_breaks_off(sends: bool, error: type[SendError]) -> None:
    async with served(answers(ANSWER[:-1])) as scene:
        with pytest.raises(error, match="broke off"):
            await scene.send(sends=sends)


async def test_what_is_no_http() -> None:
    async with served(answers(b"SSH-2.0-OpenSSH\r\n\r\n")) as scene:
        with pytest.raises(UnknownOutcome):
            await scene.send()


async def test_an_answer_that_is_too_long() -> None:
    settings = HttpSettings(answer_max_bytes=1)
    async with served(answers(ANSWER), settings) as scene:
        with pytest.raises(UnknownOutcome, match="too much"):
            await scene.send()


@pytest.mark.parametrize(("sends", "error"), [(True, UnknownOutcome), (False, Transient)])
async def test_no_answer_in_time(
    sends: bool, error: type[SendError], autojump_clock: trio.testing.MockClock
) -> None:
    async with served(never_answers) as scene:
        with pytest.raises(error, match="in time"):
            await scene.send(sends=sends)
        assert trio.current_time() == pytest.approx(HttpSettings().read_seconds, abs=1)


async def test_an_answer_that_trickles_is_not_waited_for_beyond_the_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def trickles(stream: trio.SocketStream) -> None:
        await whole_request(stream)
        for byte in ANSWER:
            await trio.sleep(5)
            await stream.send_all(bytes([byte]))

    async with served(trickles) as scene:
        with pytest.raises(UnknownOutcome, match="in time"):
            await scene.send()


async def test_a_file_that_is_not_taken_whole_was_surely_not_sent() -> None:
    async def reads_a_part(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        await stream.aclose()

    upload = MemoryUpload(b"x" * 20_000_000)
    async with served(reads_a_part) as scene:
        with pytest.raises(Transient):
            await scene.http.call("POST", scene.url, body=Multipart({}, "f", upload), sends=True)


async def test_who_stops_reading_a_file_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def reads_nothing(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    upload = MemoryUpload(b"x" * 20_000_000)
    async with served(reads_nothing) as scene:
        with pytest.raises(Transient, match="did not take"):
            await scene.http.call("POST", scene.url, body=Multipart({}, "f", upload), sends=True)


async def test_a_file_goes_piece_by_piece_with_its_length() -> None:
    seen: list[tuple[h11.Request, bytes]] = []

    async def keeps(stream: trio.SocketStream) -> None:
        seen.append(await whole_request(stream))
        await stream.send_all(ANSWER)

    form = Multipart({"a": "b"}, "f", MemoryUpload(b"x" * 300_000, piece=1000))
    async with served(keeps) as scene:
        assert (await scene.http.call("POST", scene.url, body=form, sends=True)).good
    [(head, body)] = seen
    headers = dict(head.headers)
    assert int(headers[b"content-length"]) == form.size == len(body)
    assert b"transfer-encoding" not in headers
    assert headers[b"content-type"] == form.content_type.encode()


@pytest.mark.parametrize("said", [4, 6])
async def test_a_file_of_another_size_than_was_said_is_refused(said: int) -> None:
    form = Multipart({}, "f", MemoryUpload(b"12345", size=said))
    async with served(never_answers) as scene:
        with pytest.raises(Refused, match="size"):
            await scene.http.call("POST", scene.url, body=form, sends=True)


async def test_what_reading_a_file_raises_comes_through() -> None:
    form = Multipart({}, "f", MemoryUpload(b"12", size=5, fails=Transient("the store is away")))
    async with served(never_answers) as scene:
        with pytest.raises(Transient, match="the store is away"):
            await scene.http.call("POST", scene.url, body=form, sends=True)


@pytest.mark.parametrize(
    ("url", "headers"),
    [("ftp://x/y", {}), ("http://x:y/", {}), ("http://127.0.0.1/", {"Authorization": "né"})],
)
async def test_settings_of_which_no_call_can_be_made(url: str, headers: dict[str, str]) -> None:
    http = Http(HttpSettings())
    with pytest.raises(Misconfigured):
        await http.call("POST", url, headers=headers, sends=True)
    await http.aclose()


@pytest.mark.parametrize("peer", [answers(ANSWER), answers(b""), closes_at_once])
async def test_no_address_is_told_or_logged(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    async with served(peer) as scene:
        try:
            await scene.send()
        except SendError as error:
            told = repr(error)
    assert TOKEN not in told + caplog.text


# --- downloads ------------------------------------------------------------------------------------


async def fetch(scene: Scene, max_bytes: int) -> bytes:
    async with (
        scene.http.download(scene.url, max_bytes=max_bytes) as download,
        aclosing(download.pieces()) as pieces,
    ):
        return b"".join([piece async for piece in pieces])


def file_of(size: int, *, announced: bool = True) -> bytes:
    length = f"Content-Length: {size}\r\n" if announced else "Connection: close\r\n"
    return f"HTTP/1.1 200 OK\r\n{length}\r\n".encode() + b"x" * size


async def test_a_file_comes_whole() -> None:
    async with served(answers(file_of(300_000))) as scene:
        assert await fetch(scene, 300_000) == b"x" * 300_000


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_large_is_refused(announced: bool) -> None:
    async with served(answers(file_of(300_001, announced=announced))) as scene:
        with pytest.raises(Refused, match="larger than 300000"):
            await fetch(scene, 300_000)


async def test_a_file_that_breaks_off() -> None:
    async with served(answers(file_of(300_000)[:-1])) as scene:
        with pytest.raises(Transient, match="broke off"):
            await fetch(scene, 300_000)


async def test_whoever_has_enough_of_a_file_just_stops() -> None:
    async with (
        served(answers(file_of(3_000_000))) as scene,
        scene.http.download(scene.url, max_bytes=3_000_000) as download,
        aclosing(download.pieces()) as pieces,
    ):
        assert await anext(pieces)


async def test_an_answer_in_place_of_a_file_is_read_up_to_a_bound() -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    for bound, expected in [(100, b"gone"), (2, b"go")]:
        async with (
            served(answers(missing), HttpSettings(answer_max_bytes=bound)) as scene,
            scene.http.download(scene.url, max_bytes=10) as download,
        ):
            assert not download.good
            assert (await download.answer()).body == expected
