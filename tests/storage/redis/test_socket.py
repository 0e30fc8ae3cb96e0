"""A connection to Redis on trio's own loop, beside a server that says what it is told to."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.redis.socket import RedisSocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

PATIENCE = 60.0


class Server:
    """Answers each thing that it is sent with the next of its answers, byte by byte."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.url = ""
        self.asked: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        async with stream:
            async for data in stream:
                self.asked.append(bytes(data))
                answer = self._answers.pop(0)
                if not answer:
                    return
                for number in range(len(answer)):
                    await stream.send_all(answer[number : number + 1])


@asynccontextmanager
async def serving(*answers: bytes, path: str = "") -> AsyncIterator[tuple[Server, RedisSocket]]:
    server = Server(answers)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        name, at, rest = path.rpartition("@")
        socket = RedisSocket(f"redis://{name}{at}127.0.0.1:{port}{rest}")
        yield server, socket
        await socket.close()
        nursery.cancel_scope.cancel()


async def test_every_kind_of_answer_is_understood_however_it_comes() -> None:
    answers = (
        b"+OK\r\n:-7\r\n$4\r\n\r\n\xff\x00\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*1\r\n$0\r\n\r\n:1\r\n"
    )
    async with serving(answers) as (server, socket):
        found = await socket.ask([["A", 12, b"\r\n"], *[["B"]] * 6], timeout=PATIENCE)
        assert found == [b"OK", -7, b"\r\n\xff\x00", None, None, [], [[b""], 1]]
        assert server.asked[0].startswith(
            b"*3\r\n$1\r\nA\r\n$2\r\n12\r\n$2\r\n\r\n\r\n*1\r\n$1\r\nB\r\n"
        )


async def test_a_refusal_is_told_and_the_connection_goes_on() -> None:
    async with serving(b"+OK\r\n-OOM too full\r\n+OK\r\n", b"+PONG\r\n") as (server, socket):
        with pytest.raises(Unavailable, match="OOM too full"):
            await socket.ask([["A"], ["B"], ["C"]], timeout=PATIENCE)
        assert await socket.ask([["PING"]], timeout=PATIENCE) == [b"PONG"]
        assert server.connections == 1


@pytest.mark.parametrize("answer", [b"", b"?what\r\n", b":x\r\n", b"*1\r\n$1\r\na\r\n?\r\n"])
async def test_what_is_no_answer_ends_the_connection_and_the_next_call_has_another(
    answer: bytes,
) -> None:
    async with serving(answer, b"+PONG\r\n") as (server, socket):
        with pytest.raises(Unavailable, match="Redis"):
            await socket.ask([["A"], ["B"]], timeout=PATIENCE)
        assert await socket.ask([["PING"]], timeout=PATIENCE) == [b"PONG"]
        assert server.connections == 2


async def test_a_call_that_was_given_up_leaves_no_answer_to_the_next() -> None:
    async with serving(b":1\r\n", b":2\r\n", b":3\r\n") as (server, socket):
        assert await socket.ask([["A"]], timeout=PATIENCE) == [1]
        with trio.CancelScope() as scope:
            scope.cancel()
            await socket.ask([["B"]], timeout=PATIENCE)
        (found,) = await socket.ask([["C"]], timeout=PATIENCE)
        assert server.asked[-1] == b"*1\r\n$1\r\nC\r\n"
        assert found == len(server.asked)


async def test_calls_take_turns_on_one_connection() -> None:
    async with serving(b":1\r\n", b":2\r\n") as (server, socket):
        found: list[object] = []

        async def ask(command: str) -> None:
            found.extend(await socket.ask([[command]], timeout=PATIENCE))

        async with trio.open_nursery() as nursery:
            for command in ("A", "B"):
                nursery.start_soon(ask, command)
        assert sorted(found, key=str) == [1, 2]
        assert server.connections == 1


@pytest.mark.parametrize(
    ("path", "greeting"),
    [
        (
            ":secret@/3",
            [b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n", b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"],
        ),
        ("me:s%40@", [b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\ns@\r\n"]),
        ("/0?max_connections=4", []),
    ],
)
async def test_a_url_says_who_and_which_database(path: str, greeting: list[bytes]) -> None:
    async with serving(*[b"+OK\r\n"] * 3, path=path) as (server, socket):
        await socket.ask([["A"]], timeout=PATIENCE)
        assert server.asked == [*greeting, b"*1\r\n$1\r\nA\r\n"]


async def test_who_is_not_let_in_is_out_of_reach() -> None:
    async with serving(b"-WRONGPASS no\r\n", path=":wrong@") as (_, socket):
        with pytest.raises(Unavailable, match="WRONGPASS"):
            await socket.ask([["A"]], timeout=PATIENCE)


async def test_a_url_with_tls_is_believed_only_with_a_certificate(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-keyout", str(key), "-out", str(cert)]
    await trio.run_process(command, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Server([b"+PONG\r\n"])

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # who does not believe it goes
            await server.serve(trio.SSLStream(stream, context, server_side=True))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        url = f"rediss://localhost:{listener.socket.getsockname()[1]}"
        with pytest.raises(Unavailable, match="certificate"):
            await RedisSocket(url).ask([["PING"]], timeout=PATIENCE)
        socket = RedisSocket(f"{url}?ssl_ca_certs={cert}")
        assert await socket.ask([["PING"]], timeout=PATIENCE) == [b"PONG"]
        await socket.close()
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_not_there_is_out_of_reach() -> None:
    with pytest.raises(Unavailable, match="Redis"):
        await RedisSocket("unix:///nowhere/redis.sock").ask([["A"]], timeout=PATIENCE)
