"""Files by the SDK, against the real server: killed in the middle on both sides, and resumed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_client import UploadNotes, open_client, open_files
from tests.support.server import UNLIMITED, running_server, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.life.conftest import Names
    from tests.support.server import Server

MIB = 1024 * 1024
SIZE = 24 * MIB + 1
"""Five parts."""
README = Path(__file__).parents[2] / "protocol" / "README.md"
UPLOADER = """
import sys, trio
from chat4all_client import UploadNotes, open_files

async def main(url, token, path, notes):
    def told(done, total):
        print(done, flush=True)
    async with open_files(url, token=token) as files:
        await files.upload(path, progress=told, notes=UploadNotes(notes, "me"), parts_at_once=1)

trio.run(main, *sys.argv[1:])
"""


@pytest.fixture
async def server(life_database: str, tmp_path: Path) -> AsyncIterator[Server]:
    env = {**UNLIMITED, "CHAT4ALL_FILE_CHUNK_SIZE": str(5 * MIB)}
    async with running_server(tmp_path / "server", "--postgres", life_database, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def data() -> bytes:
    return Random(7).randbytes(SIZE)


@pytest.fixture
def path(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "disk.bin"
    path.write_bytes(data)
    return path


async def kill_and_restart(server: Server) -> None:
    await server.kill()
    await server.start()


def kill_a_client_in_the_middle(server: Server, access: str, path: Path, notes: Path) -> None:
    command = [sys.executable, "-c", UPLOADER, server.url, access, str(path), str(notes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if int(line) > 2 * 5 * MIB:
                client.kill()
                break


async def test_a_file_comes_whole_though_client_and_server_are_killed_in_the_middle(
    server: Server, names: Names, path: Path, tmp_path: Path, data: bytes
) -> None:
    ana, bob = names(2)
    access = token(ana)
    notes = tmp_path / "notes.json"
    await trio.to_thread.run_sync(kill_a_client_in_the_middle, server, access, path, notes)

    begun: list[str] = []
    done_at_first: list[int] = []
    killed = False

    async with open_files(server.url, token=access) as files, trio.open_nursery() as nursery:

        def told(done: int, total: int) -> None:
            nonlocal killed
            done_at_first[:] = done_at_first or [done]
            if not killed and done > done_at_first[0] + 5 * MIB:
                killed = True
                nursery.start_soon(kill_and_restart, server)

        file = await files.upload(
            path, progress=told, began=begun.append, notes=UploadNotes(notes, "me")
        )
    assert killed
    assert begun == [file.id]
    assert done_at_first[0] >= 2 * 5 * MIB
    assert (file.state, file.size) == ("ready", SIZE)

    async with (
        open_client(server.url, token=access, device="d") as anas,
        open_files(server.url, token=token(bob), piece_size=MIB) as files,
        trio.open_nursery() as nursery,
    ):
        conv = (await anas.create("private", [bob])).conv
        await anas.send(conv, file.body("the disk"))
        with trio.CancelScope() as scope:
            await files.download(
                file.id,
                directory=tmp_path / "server",
                progress=lambda done, total: scope.cancel() if done > SIZE / 3 else None,
            )
        assert scope.cancelled_caught
        killed = False

        def coming(done: int, total: int) -> None:
            nonlocal killed
            if not killed and done > SIZE / 2:
                killed = True
                nursery.start_soon(kill_and_restart, server)

        saved = await files.download(file.id, directory=tmp_path / "server", progress=coming)
    assert killed
    assert saved.name == "disk.bin"
    assert await trio.to_thread.run_sync(saved.read_bytes) == data


async def test_the_example_of_the_readme_sends_and_fetches_a_file(
    server: Server, names: Names, tmp_path: Path
) -> None:
    ana, bob = names(2)
    plan = tmp_path / "plan.txt"
    await trio.to_thread.run_sync(plan.write_text, "first this, then that")
    example = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    scope: dict[str, Any] = {}
    exec(compile(example[1], "README.md", "exec"), scope)
    async with open_client(server.url, token=token(ana), device="d") as client:
        conv = (await client.create("private", [bob])).conv
    await scope["send"](server.url, token(ana), conv, plan)
    (saved,) = await scope["fetch"](server.url, token(bob), conv, tmp_path / "server")
    assert await trio.to_thread.run_sync(saved.read_text) == "first this, then that"
