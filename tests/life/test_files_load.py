"""Many files at once, while people chat: each arrives as it was, and memory stays bounded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.life.file_client import checksum, pdf
from tests.life.file_servers import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.life.file_client import Uploader
    from tests.life.file_servers import FileServer

pytestmark = pytest.mark.xdist_group("files")  # one server on each store for all of them

UPLOADS = 50
SIZE = 2 * MIB
USERS = 5
SAID_AT_LEAST = 20
BOUND = 64 * MIB
"""Of what all workers together grow by: the files alone are 100 MiB."""
SAMPLED = 0.02
"""Seconds between two looks at the memory."""


def resident(pids: list[int]) -> int:
    """Bytes of memory that these processes have, without what is mapped from files."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
        total += int(line.split()[1]) * 1024
    return total


class Growth:
    """The most by which memory was above what it was."""

    def __init__(self, pids: list[int]) -> None:
        self.most = 0
        self._pids = pids
        self._before = resident(pids)

    def look(self) -> None:
        self.most = max(self.most, resident(self._pids) - self._before)


@contextmanager
def watched(pids: list[int]) -> Iterator[Growth]:
    """Look at the memory all the time."""
    growth, over = Growth(pids), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLED):
            growth.look()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()


@contextmanager
def chat(conversation: str, speaker: Uploader) -> Iterator[list[float]]:
    """Somebody who says one thing after the other; how long each took."""
    took: list[float] = []
    over = threading.Event()

    def talk() -> None:
        while not over.is_set() or len(took) < SAID_AT_LEAST:
            began = time.perf_counter()
            payload = {"type": "text", "text": str(len(took))}
            body = {"conversation_id": conversation, "payload": payload}
            speaker.rest.post("/v1/messages", body, 202)
            took.append(time.perf_counter() - began)

    with ThreadPoolExecutor(1) as thread:
        talking = thread.submit(talk)
        try:
            yield took
        finally:
            over.set()
            talking.result()


def test_fifty_uploads_at_once_arrive_as_they_were_in_bounded_memory(files: FileServer) -> None:
    uploaders = files.users(USERS)
    ana, bob = files.users(2)
    group = files.group(ana, bob)
    sources = [pdf(SIZE, seed=number) for number in range(UPLOADS)]
    uploaders[0].upload(pdf(SIZE))  # what is loaded once is not growth

    def upload(number: int) -> str:
        return uploaders[number % USERS].upload(sources[number])

    with (
        watched(files.workers) as growth,
        chat(group, ana) as took,
        ThreadPoolExecutor(UPLOADS) as threads,
    ):
        ids = list(threads.map(upload, range(UPLOADS)))
    for number, id_ in enumerate(ids):
        uploader = uploaders[number % USERS]
        assert uploader.show(id_)["checksum"] == checksum(sources[number])
        assert uploader.fetch(id_).body == sources[number]
    said = bob.rest.get(f"/v1/conversations/{group}/messages?limit=100")["messages"]
    assert [each["payload"]["text"] for each in said] == [
        str(number) for number in range(len(took))
    ][-100:]
    print(f"{files.store}: {growth.most / MIB:.1f} MiB more, {len(took)} messages meanwhile")
    assert growth.most < BOUND
