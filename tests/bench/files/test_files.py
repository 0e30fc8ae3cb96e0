"""Files against a server of a few lines that keeps the contract, or does not."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from chat4all_bench import cli
from chat4all_bench.result import Run
from tests.bench.fake_server import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

Capture = pytest.CaptureFixture[str]

CHUNK = 1000


class FakeFiles:
    """Answers requests as the contract says, in chunks of `CHUNK` bytes."""

    def __init__(self, *, served: bool = True, spoil: bool = False) -> None:
        self._served = served
        self._spoil = spoil
        self._parts: dict[str, dict[int, bytes]] = {}

    def respond(self, data: bytes) -> list[bytes]:
        head, _, body = data.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        said, status = self._answer(method, target, body)
        if status == 302:
            return [b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % said]
        return [answer(said, status)]

    def _answer(self, method: str, target: str, body: bytes) -> tuple[bytes, int]:
        if target == "/v1/auth/register":
            return b"{}", 201
        if target == "/v1/auth/token":
            return b'{"access_token":"t"}', 200
        if target == "/v1/files/initiate" and self._served:
            size = msgspec.json.decode(body)["size"]
            count, file_id = -(-size // CHUNK), f"f{len(self._parts)}"
            self._parts[file_id] = {}
            uploads: list[dict[str, Any]] = [
                {
                    "part": part,
                    "method": "PUT",
                    "url": f"/put/{file_id}/{part}?sig=1",
                    "headers": {},
                }
                for part in range(1, count + 1)
            ]
            told = {"file_id": file_id, "chunk_size": CHUNK, "total_chunks": count}
            return msgspec.json.encode(told | {"uploads": uploads}), 201
        if method == "PUT" and target.startswith("/put/"):
            _, _, file_id, part = target.partition("?")[0].split("/")
            self._parts[file_id][int(part)] = body
            return b"", 200
        if target == "/v1/files/complete":
            told = msgspec.json.decode(body)
            whole = self._whole(told["file_id"])
            right = told["checksum"] == f"sha256:{hashlib.sha256(whole).hexdigest()}"
            return b"{}", 200 if right else 409
        if method == "GET" and target.startswith("/v1/files/"):
            return b"/get/" + target.split("/")[3].encode(), 302
        if target.startswith("/get/"):
            whole = self._whole(target.removeprefix("/get/"))
            spoilt = bytes([whole[0] ^ 1]) + whole[1:]
            return (spoilt if self._spoil else whole), 200
        return b"{}", 404

    def _whole(self, file_id: str) -> bytes:
        return b"".join(data for _, data in sorted(self._parts[file_id].items()))


@contextmanager
def serving(files: FakeFiles) -> Iterator[str]:
    """Run it in a thread; its address."""
    loop, stop, urls = asyncio.new_event_loop(), asyncio.Event(), []
    started = threading.Event()

    async def main() -> None:
        async with fake_server(files.respond) as (url, _):
            urls.append(url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait()
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def carried_out(files: FakeFiles) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    with serving(files) as url:
        arguments = ["--files", "3", "--size", "0.01", "--url", url, "--json"]
        return cli.run(parser.parse_args(["files", *arguments]))


def test_files_go_up_in_parts_and_come_back_as_they_were(capsys: Capture) -> None:
    assert carried_out(FakeFiles()) == 0
    run = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert run.metrics["files"].values == [3]
    assert run.histograms["part"].count == 3 * 11  # 10,485 bytes each
    assert run.histograms["download"].count == 3
    assert run.integrity.whole


def test_a_file_that_comes_back_altered_fails_the_run(capsys: Capture) -> None:
    assert carried_out(FakeFiles(spoil=True)) == 1
    run = msgspec.json.decode(capsys.readouterr().out, type=Run)
    assert run.integrity.lost == 3
    assert run.integrity.errors == {"what was downloaded differs from what was uploaded": 3}


def test_a_server_without_files_is_told_precisely(capsys: Capture) -> None:
    assert carried_out(FakeFiles(served=False)) == 3
    assert "serves no files: POST /v1/files/initiate was answered with 404" in (
        capsys.readouterr().err
    )
