from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chat4all_client import RequestRefused, TransferFailed, open_files
from chat4all_client.web import base_of
from tests.client.file_server import TOKEN, FileServer, files_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://example.org/", "https://example.org"),
        ("ws://127.0.0.1:8000/ws", "http://127.0.0.1:8000"),
        ("wss://example.org/chat/ws", "https://example.org/chat"),
    ],
)
def test_the_api_is_where_the_connection_is(url: str, base: str) -> None:
    assert base_of(url) == base


async def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        async with open_files("example.org", token="t"):
            pass
    with pytest.raises(ValueError, match="piece_size"):
        async with open_files("http://example.org", token="t", piece_size=0):
            pass


def test_who_sends_no_files_loads_no_http_library() -> None:
    code = "import chat4all_client, sys; print('httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_a_server_that_can_not_be_reached_is_told_of() -> None:
    async with FileServer().running() as server:
        url = server.url
    async with open_files(url, token="t", patience=0.0) as files:
        with pytest.raises(TransferFailed, match=f"{url} can't be reached"):
            await files.show("f1")


async def test_a_token_that_can_not_be_had_for_now_is_tried_again() -> None:
    tokens: list[str | OSError] = [OSError("no network"), TOKEN]

    async def token() -> str:
        given = tokens.pop(0)
        if isinstance(given, OSError):
            raise given
        return given

    async with FileServer().running() as server, files_of(server, token=token) as files:
        server.stored(b"data")
        assert (await files.show("f1")).state == "ready"


async def test_an_answer_that_is_not_known_is_told_of(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(b"data")
        server.faults = {"show": ["garbage", 302], "download": [200]}
        for _ in range(2):
            with pytest.raises(TransferFailed, match="the server answered what is not known"):
                await files.show("f1")
        with pytest.raises(TransferFailed, match="answered 200, not with an address"):
            await files.download("f1", directory=tmp_path)


async def test_an_error_without_words_is_told_by_its_number() -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["show"] = [418]
        server.words = False
        with pytest.raises(RequestRefused, match=r"the server refused it \(418\)"):
            await files.show("f1")


async def test_s3_that_waited_too_long_for_a_part_gets_it_again(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = ["s3 timeout"]
        assert (await files.upload(plan)).state == "ready"
        assert server.requests["status"] == 0
