from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import (
    FileChanged,
    RequestRefused,
    TransferFailed,
    UploadNotes,
    open_files,
)
from tests.client.file_server import TOKEN, FileServer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from chat4all_client import Files

DATA = bytes(range(256)) * 18
"""Of 5 parts, the last smaller."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.pdf"
    path.write_bytes(DATA)
    return path


def files_of(server: FileServer, patience: float = 60.0) -> AbstractAsyncContextManager[Files]:
    """Without pauses between attempts."""
    return open_files(server.url, token=TOKEN, patience=patience, random=lambda: 0.0)


async def test_a_file_is_uploaded_in_parts_and_checked_by_its_hash(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        file = await files.upload(path)
        assert server.uploads[file.id].data == DATA
        assert (file.name, file.size, file.mime) == ("plan.pdf", len(DATA), "application/pdf")
        assert (file.state, server.requests["put"]) == ("ready", 5)
        body = file.body("the plan")
    assert (body.file_id, body.text, body.name) == (file.id, "the plan", "plan.pdf")


async def test_no_more_parts_are_on_their_way_at_once_than_allowed(path: Path) -> None:
    async with FileServer(chunk=100).running() as server, files_of(server) as files:
        await files.upload(path, parts_at_once=3)
    assert server.most_under_way <= 3


@pytest.mark.parametrize(
    "faults",
    [
        {"put": ["cut", "cut"]},
        {"put": [503, 500, 429]},
        {"put": ["cut answer", 408]},
        {"initiate": ["cut", 503], "complete": [503, "cut"], "status": [502]},
    ],
)
async def test_what_does_not_come_through_is_sent_again(
    path: Path, faults: dict[str, list[int | str]]
) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults = faults  # type: ignore[assignment]
        file = await files.upload(path)
        assert server.uploads[file.id].data == DATA


async def test_a_completion_waits_for_the_verdict_as_long_as_the_server_is_at_it(
    path: Path,
) -> None:
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.faults["complete"] = [504, 504, 504]
        assert (await files.upload(path)).state == "ready"
        assert server.requests["complete"] == 4


async def test_addresses_that_expired_are_renewed_by_one_answer(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def expire(kind: str) -> None:
            if server.requests["put"] == 2 and kind == "put":
                server.generation = 2

        server.before = expire
        file = await files.upload(path, parts_at_once=4)
        assert server.uploads[file.id].data == DATA
        assert server.requests["status"] == 1


async def test_after_two_failures_it_is_asked_how_a_part_stands(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = ["cut", "cut"]

        def store(kind: str) -> None:
            if kind == "status":
                server.uploads["f1"].parts[1] = DATA[:1000]

        server.before = store
        await files.upload(path, parts_at_once=1)
        assert (server.requests["status"], server.requests["put"]) == (1, 6)


async def test_a_store_that_refuses_fresh_addresses_as_well_is_told_of(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = [403] * 50
        with pytest.raises(TransferFailed, match="and fresh ones too"):
            await files.upload(path)


async def test_a_part_that_is_refused_for_good_ends_the_upload(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = [415]
        with pytest.raises(RequestRefused) as refused:
            await files.upload(path, parts_at_once=1)
    assert (refused.value.code, server.requests["put"]) == ("E415", 1)


async def test_no_part_address_is_shown_the_token(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        await files.download((await files.upload(path)).id, path.with_name("copy"))
    assert server.tokens_at_store == []


async def test_an_upload_goes_on_with_what_is_missing(path: Path) -> None:
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        ids: list[str] = []
        server.faults["put"] = [200, 200, 503]  # 200: only told, not stored
        with pytest.raises(TransferFailed, match="the same call goes on"):
            await files.upload(path, began=ids.append, parts_at_once=1)
        server.uploads[ids[0]].parts[2] = DATA[1000:2000]
        server.requests.clear()
        file = await files.upload(path, resume=ids[0])
        assert server.uploads[file.id].data == DATA
        assert file.id == ids[0]
        assert (server.requests["initiate"], server.requests["put"]) == (0, 4)


async def test_an_upload_that_is_no_more_begins_anew(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        ids: list[str] = []
        file = await files.upload(path, resume="gone", began=ids.append)
    assert ids == [file.id]


async def test_an_upload_of_another_size_begins_anew(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        other = server.stored(b"other")
        file = await files.upload(path, resume=other.id)
        assert file.id != other.id
        assert server.uploads[file.id].data == DATA


async def test_a_file_that_is_there_already_is_only_checked(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        await files.upload(path, resume="f1")
    assert (server.requests["put"], server.requests["complete"]) == (0, 1)


async def test_progress_ends_at_the_whole_and_never_passes_it(path: Path) -> None:
    told: list[tuple[int, int]] = []
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["put"] = ["cut", 503]
        await files.upload(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(DATA), len(DATA))
    assert all(0 <= done <= total == len(DATA) for done, total in told)


async def test_a_file_that_is_changed_meanwhile_is_not_completed(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def change(kind: str) -> None:
            if kind == "put":
                os.utime(path, ns=(1, 1))

        server.before = change
        with pytest.raises(FileChanged):
            await files.upload(path)
    assert server.requests["complete"] == 0
    assert server.uploads == {}


async def test_a_file_that_shrinks_meanwhile_is_told_of(path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:

        def shrink(kind: str) -> None:
            if kind == "initiate":
                path.write_bytes(DATA[:1500])

        server.before = shrink
        with pytest.raises(FileChanged):
            await files.upload(path)


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


async def test_a_token_that_has_expired_is_renewed_once(path: Path) -> None:
    tokens = ["old", TOKEN]

    async def token() -> str:
        return tokens.pop(0)

    async with FileServer().running() as server, open_files(server.url, token=token) as files:
        await files.upload(path)
        assert tokens == []
        server.token = "other"
        tokens = ["wrong"]
        with pytest.raises(RequestRefused) as refused:
            await files.show("f1")
    assert refused.value.code == "UNAUTHENTICATED"


async def test_a_cancelled_upload_ends_at_once_and_can_go_on(path: Path) -> None:
    ids: list[str] = []
    async with FileServer().running() as server, files_of(server) as files:
        with trio.CancelScope() as scope:
            server.before = lambda kind: scope.cancel() if kind == "put" else None
            await files.upload(path, began=ids.append)
        assert scope.cancelled_caught
        server.before = lambda kind: None
        assert (await files.upload(path, resume=ids[0])).state == "ready"


# --- notes --------------------------------------------------------------------------------------


async def test_notes_carry_an_upload_over_a_restart_and_are_cleared_after_it(
    path: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "uploads.json"
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.faults["put"] = [503]
        with pytest.raises(TransferFailed):
            await files.upload(path, notes=UploadNotes(state, "ana"))
        assert state.stat().st_mode & 0o777 == 0o600
        await files.upload(path, notes=UploadNotes(state, "ana"))
        assert server.requests["initiate"] == 1
        await files.upload(path, notes=UploadNotes(state, "ana"))
        assert server.requests["initiate"] == 2


async def test_notes_do_not_hold_for_a_file_that_was_changed_or_for_another_user(
    path: Path, tmp_path: Path
) -> None:
    state = tmp_path / "uploads.json"
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        for owner, change in (("ana", False), ("bob", False), ("bob", True)):
            if change:
                os.utime(path, ns=(1, 1))
            server.faults["put"] = [503]
            with pytest.raises(TransferFailed):
                await files.upload(path, notes=UploadNotes(state, owner))
        assert server.requests["initiate"] == 3


async def test_notes_forget_an_upload_that_was_refused(path: Path, tmp_path: Path) -> None:
    notes = UploadNotes(tmp_path / "uploads.json", "ana")
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["complete"] = [409]
        with pytest.raises(RequestRefused):
            await files.upload(path, notes=notes)
        await files.upload(path, notes=notes)
        assert server.requests["initiate"] == 2


async def test_notes_that_can_not_be_read_are_none(path: Path, tmp_path: Path) -> None:
    state = tmp_path / "uploads.json"
    state.write_text("{")
    async with FileServer().running() as server, files_of(server) as files:
        assert (await files.upload(path, notes=UploadNotes(state, "ana"))).state == "ready"
