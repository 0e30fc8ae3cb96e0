from __future__ import annotations

import subprocess
import sys

import pytest

from chat4all_client import open_files
from chat4all_client.web import base_of


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
