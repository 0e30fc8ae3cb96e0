"""One request to an endpoint, over real sockets, and what became of it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpcore2
import pytest
import trio

from chat4all_actors.config import Settings
from chat4all_actors.webhooks.guard import BadAddress
from chat4all_actors.webhooks.sending import MAX_ANSWER, MAX_RETRY_AFTER, Sender, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000.0
HEADERS = {"webhook-id": "evt_1"}
BODY = b'{"type": "message.created"}'


class Server:
    """Answers each request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.port = 0
        self.stall = False
        """Whether it never answers."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while not data.endswith(BODY):
                if not (part := await stream.receive_some()):
                    return
                data += part
            self.requests.append(data)
            if self.stall:
                await trio.sleep_forever()
            await stream.send_all(self.answer)
        except trio.BrokenResourceError:
            return  # it has heard enough
        finally:
            await trio.aclose_forcefully(stream)


@pytest.fixture
def serve(nursery: trio.Nursery) -> Callable[[bytes], Any]:
    async def start(answer: bytes) -> Server:
        server = Server(answer)
        await nursery.start(server.run)
        return server

    return start


def sender(look_up: Names | None = None, **settings: Any) -> Sender:
    chosen = {"webhook_allow_private": True} | settings
    return Sender(Settings(**chosen), clock=lambda: NOW, look_up=look_up)


def said(status: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_an_event_is_posted_whole_with_what_it_is_signed_by(serve: Any) -> None:
    server, posts = await serve(said("204 No Content")), sender()
    outcome = await posts.post(f"http://127.0.0.1:{server.port}/a?b=c", HEADERS, BODY)
    await posts.aclose()
    assert outcome.ok
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /a?b=c http/1.1"
    assert f"host: 127.0.0.1:{server.port}" in lines
    assert "content-type: application/json" in lines
    assert "webhook-id: evt_1" in lines
    assert sum(line.startswith("content-length:") for line in lines) == 1
    assert sum(line.startswith("host:") for line in lines) == 1
    assert body == BODY


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said("301 Moved", "Location: http://127.0.0.1:1/"), "answered 301"),
        (said("302 Found", "Location: http://127.0.0.1:1/"), "answered 302"),
        (said("400 Bad Request"), "answered 400"),
        (said("500 Oops", body=b"secrets of the receiver"), "answered 500"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"", "no HTTP"),
    ],
)
async def test_only_2xx_takes_it_and_no_redirect_is_followed(
    serve: Any, answer: bytes, reason: str
) -> None:
    server, posts = await serve(answer), sender()
    outcome = await posts.post(f"http://127.0.0.1:{server.port}/", HEADERS, BODY)
    await posts.aclose()
    assert not outcome.ok
    assert reason in outcome.reason
    assert not outcome.gone
    assert len(server.requests) == 1


async def test_an_endpoint_can_say_that_it_is_gone_and_when_to_come_back(serve: Any) -> None:
    gone, busy = await serve(said("410 Gone")), await serve(said("429 No", "Retry-After: 17"))
    posts = sender()
    assert (await posts.post(f"http://127.0.0.1:{gone.port}/", HEADERS, BODY)).gone
    outcome = await posts.post(f"http://127.0.0.1:{busy.port}/", HEADERS, BODY)
    await posts.aclose()
    assert (outcome.ok, outcome.retry_after) == (False, 17.0)


async def test_of_an_endless_answer_a_bounded_part_is_read(serve: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"
    server, posts = await serve(head + bytes(2 * MAX_ANSWER)), sender()
    assert (await posts.post(f"http://127.0.0.1:{server.port}/", HEADERS, BODY)).ok
    await posts.aclose()


async def test_who_does_not_answer_in_time_is_not_waited_for(serve: Any) -> None:
    server, posts = await serve(b""), sender(webhook_timeout=0.2)
    server.stall = True
    outcome = await posts.post(f"http://127.0.0.1:{server.port}/", HEADERS, BODY)
    await posts.aclose()
    assert (outcome.ok, outcome.unreachable) == (False, True)
    assert outcome.reason == "no answer within 0.2 s"


async def test_who_is_not_there_is_told_apart() -> None:
    posts = sender()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        outcome = await posts.post(url, HEADERS, BODY)
    await posts.aclose()
    assert outcome.unreachable
    assert outcome.reason == "it can't be reached"


# --- where it goes --------------------------------------------------------------------------------


class Names:
    """Names whose addresses change from one look to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return self.answers.pop(0)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"]])
async def test_a_name_that_stands_for_anything_private_is_not_connected_to(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = sender(Names(addresses, addresses), webhook_allow_private=False)

    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was connected to")

    monkeypatch.setattr(posts._backend._inner, "connect_tcp", never)
    outcome = await posts.post("http://hooks.example.org/", HEADERS, BODY)
    assert outcome.reason == "its name stands for an address that is not public"
    with pytest.raises(BadAddress, match="public address"):
        await posts.check("http://hooks.example.org/", 1)
    await posts.aclose()


async def test_a_name_is_resolved_once_and_that_very_address_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    posts = sender(names, webhook_allow_private=False)
    asked: list[tuple[str, int]] = []

    async def refuse(host: str, port: int, *_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        asked.append((host, port))
        raise httpcore2.ConnectError("refused")

    monkeypatch.setattr(posts._backend._inner, "connect_tcp", refuse)
    outcome = await posts.post("http://hooks.example.org/", HEADERS, BODY)
    await posts.aclose()
    assert outcome.reason == "it can't be reached"
    assert asked == [("8.8.8.8", 80)]
    assert names.asked == ["hooks.example.org"]


async def test_where_the_connection_has_come_to_is_looked_at_too(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(said("200 OK"))
    posts = sender(Names(["8.8.8.8"]), webhook_allow_private=False)
    connect = posts._backend._inner.connect_tcp

    async def elsewhere(host: str, port: int, *rest: Any) -> Any:
        return await connect("127.0.0.1", server.port, *rest)

    monkeypatch.setattr(posts._backend._inner, "connect_tcp", elsewhere)
    outcome = await posts.post("http://hooks.example.org/", HEADERS, BODY)
    await posts.aclose()
    assert outcome.reason == "its name stands for an address that is not public"
    assert server.requests == []


async def test_an_address_that_settings_allow_no_longer_is_not_asked(serve: Any) -> None:
    server, posts = await serve(said("200 OK")), sender(webhook_allow_private=False)
    outcome = await posts.post(f"http://127.0.0.1:{server.port}/", HEADERS, BODY)
    await posts.aclose()
    assert not outcome.ok
    assert server.requests == []


async def test_a_name_that_can_not_be_resolved_may_come_to_be_known() -> None:
    posts = sender(Names(), webhook_allow_private=False)
    await posts.check("https://hooks.example.org/", 1)
    outcome = await posts.post("https://hooks.example.org/", HEADERS, BODY)
    await posts.aclose()
    assert (outcome.ok, outcome.unreachable) == (False, True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("17", 17.0),
        (" 17 ", 17.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("999999999", MAX_RETRY_AFTER),
        ("9" * 400, 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Tue, 14 Nov 9999 22:00:00 GMT", MAX_RETRY_AFTER),
    ],
)
def test_when_to_come_back_is_read_in_both_forms_and_bounded(value: str, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds
