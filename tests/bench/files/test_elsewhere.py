"""Uploads from another process: told to begin and to end, and it tells what came of them."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chat4all_bench.files.elsewhere import LOWEST, Order, UploadsElsewhere
from chat4all_bench.running.pool import GeneratorFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def uploads() -> Iterator[UploadsElsewhere]:
    """Of two files at once to where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    order = Order(
        f"http://127.0.0.1:{port}", "token", "a.bin", 1, size=1000, at_once=2, parts_at_once=1
    )
    uploads = UploadsElsewhere(order)
    yield uploads
    uploads.close()


def test_it_tells_what_came_of_the_uploads(uploads: UploadsElsewhere) -> None:
    uploads.begin()
    uploaded = uploads.end()
    assert uploaded.asked >= 2
    assert uploaded.errors == {"no answer: ConnectionRefusedError": uploaded.asked}
    assert uploaded.ids == []
    assert "initiate" in uploaded.histograms


@pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")
def test_it_gives_way_to_all_others(uploads: UploadsElsewhere) -> None:
    stat = Path(f"/proc/{uploads.pid}/stat").read_text(encoding="ascii")
    session, niceness = (int(stat.rpartition(")")[2].split()[at]) for at in (3, 16))
    assert (session, niceness) == (uploads.pid, LOWEST)


def test_one_that_has_ended_by_itself_is_told(uploads: UploadsElsewhere) -> None:
    uploads.begin()
    os.kill(uploads.pid, signal.SIGKILL)
    with pytest.raises(GeneratorFailed):
        uploads.end()
