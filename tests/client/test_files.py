from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import FileChanged, RequestRefused, TransferFailed, open_files
from chat4all_client.files import type_of
from tests.client.file_server import TOKEN, FileServer, files_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 18
"""What `plan` holds."""


async def test_a_file_is_uploaded_in_parts_and_checked_by_its_hash(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        file = await files.upload(plan)
        assert server.uploads[file.id].data == DATA
        assert (file.name, file.size, file.mime) == ("plan.pdf", len(DATA), "application/pdf")
        assert (file.state, server.requests["put"]) == ("ready", 5)
        body = file.body("the plan")
    assert (body.file_id, body.text, body.name) == (file.id, "the plan", "plan.pdf")


async def test_a_completion_waits_for_the_verdict_as_long_as_the_server_is_at_it(
    plan: Path,
) -> None:
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.faults["complete"] = [504, 504, 504]
        assert (await files.upload(plan)).state == "ready"
        assert server.requests["complete"] == 4


async def test_an_upload_goes_on_with_what_is_missing(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        ids: list[str] = []
        server.faults["put"] = [200, 200, 503]  # 200: only told, not stored
        with pytest.raises(TransferFailed, match="the same call goes on"):
            await files.upload(plan, began=ids.append, parts_at_once=1)
        server.uploads[ids[0]].parts[2] = DATA[1000:2000]
        server.requests.clear()
        file = await files.upload(plan, resume=ids[0])
        assert server.uploads[file.id].data == DATA
        assert file.id == ids[0]
        assert (server.requests["initiate"], server.requests["put"]) == (0, 4)


async def test_an_upload_that_is_no_more_begins_anew(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        ids: list[str] = []
        file = await files.upload(plan, resume="gone", began=ids.append)
    assert ids == [file.id]


async def test_an_upload_of_another_size_begins_anew(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        other = server.stored(b"other")
        file = await files.upload(plan, resume=other.id)
        assert file.id != other.id
        assert server.uploads[file.id].data == DATA


async def test_a_file_that_is_there_already_is_only_checked(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        await files.upload(plan, resume="f1")
    assert (server.requests["put"], server.requests["complete"]) == (0, 1)


async def test_a_file_that_is_changed_meanwhile_is_not_completed(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def change(kind: str) -> None:
            if kind == "put":
                os.utime(plan, ns=(1, 1))

        server.before = change
        with pytest.raises(FileChanged):
            await files.upload(plan)
    assert server.requests["complete"] == 0
    assert server.uploads == {}


async def test_a_file_that_shrinks_meanwhile_is_told_of(plan: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def shrink(kind: str) -> None:
            if kind == "initiate":
                plan.write_bytes(DATA[:1500])

        server.before = shrink
        with pytest.raises(FileChanged):
            await files.upload(plan)


async def test_neither_an_empty_file_nor_a_directory_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    async with FileServer().running() as server, files_of(server) as files:
        with pytest.raises(ValueError, match="empty is empty"):
            await files.upload(tmp_path / "empty")
        with pytest.raises(ValueError, match="is no file"):
            await files.upload(tmp_path)
        with pytest.raises(FileNotFoundError):
            await files.upload(tmp_path / "missing")
    assert not server.requests


async def test_a_token_that_has_expired_is_renewed_once(plan: Path) -> None:
    tokens = ["old", TOKEN]

    async def token() -> str:
        return tokens.pop(0)

    async with FileServer().running() as server, open_files(server.url, token=token) as files:
        await files.upload(plan)
        assert tokens == []
        server.token = "other"
        tokens = ["wrong"]
        with pytest.raises(RequestRefused) as refused:
            await files.show("f1")
    assert refused.value.code == "UNAUTHENTICATED"


async def test_a_cancelled_upload_ends_at_once_and_can_go_on(plan: Path) -> None:
    ids: list[str] = []
    async with FileServer().running() as server, files_of(server) as files:
        with trio.CancelScope() as scope:
            server.before = lambda kind: scope.cancel() if kind == "put" else None
            await files.upload(plan, began=ids.append)
        assert scope.cancelled_caught
        server.before = lambda kind: None
        assert (await files.upload(plan, resume=ids[0])).state == "ready"


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("plan.pdf", "application/pdf"),
        ("photo.JPG", "image/jpeg"),
        ("logs.txt.gz", "application/gzip"),
        ("disk.img.bz2", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ],
)
def test_a_type_is_what_the_name_says(name: str, type_: str) -> None:
    assert type_of(name) == type_
