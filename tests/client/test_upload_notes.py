from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chat4all_client import RequestRefused, TransferFailed, UploadNotes
from tests.client.file_server import FileServer, files_of

if TYPE_CHECKING:
    from pathlib import Path


async def test_notes_carry_an_upload_over_a_restart_and_are_cleared_after_it(
    plan: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "uploads.json"
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.faults["put"] = [503]
        with pytest.raises(TransferFailed):
            await files.upload(plan, notes=UploadNotes(state, "ana"))
        assert state.stat().st_mode & 0o777 == 0o600
        await files.upload(plan, notes=UploadNotes(state, "ana"))
        assert server.requests["initiate"] == 1
        await files.upload(plan, notes=UploadNotes(state, "ana"))
        assert server.requests["initiate"] == 2


async def test_notes_do_not_hold_for_a_file_that_was_changed_or_for_another_user(
    plan: Path, tmp_path: Path
) -> None:
    state = tmp_path / "uploads.json"
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        for owner, change in (("ana", False), ("bob", False), ("bob", True)):
            if change:
                os.utime(plan, ns=(1, 1))
            server.faults["put"] = [503]
            with pytest.raises(TransferFailed):
                await files.upload(plan, notes=UploadNotes(state, owner))
        assert server.requests["initiate"] == 3


async def test_notes_forget_an_upload_that_was_refused(plan: Path, tmp_path: Path) -> None:
    notes = UploadNotes(tmp_path / "uploads.json", "ana")
    async with FileServer().running() as server, files_of(server) as files:
        server.faults["complete"] = [409]
        with pytest.raises(RequestRefused):
            await files.upload(plan, notes=notes)
        await files.upload(plan, notes=notes)
        assert server.requests["initiate"] == 2


async def test_notes_that_can_not_be_read_are_none(plan: Path, tmp_path: Path) -> None:
    state = tmp_path / "uploads.json"
    state.write_text("{")
    async with FileServer().running() as server, files_of(server) as files:
        assert (await files.upload(plan, notes=UploadNotes(state, "ana"))).state == "ready"
