from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_client import RequestRefused, TransferFailed, WrongChecksum
from tests.client.file_server import FileServer, files_of

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(251)) * 20
"""Of 6 pieces, the last smaller."""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_file_is_fetched_in_pieces_and_named_when_it_is_whole(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        path = await files.download("f1", tmp_path / "copy", parts_at_once=3)
        assert path.read_bytes() == DATA
        assert names(tmp_path) == ["copy"]
        assert (server.requests["get"], server.requests["download"]) == (6, 1)
        assert server.most_under_way <= 3


@pytest.mark.parametrize(
    "faults",
    [
        {"get": ["cut", "cut answer", 503]},
        {"get": [429, 500, 408]},
        {"show": ["cut", 503], "download": [502, "cut"]},
    ],
)
async def test_what_does_not_come_through_is_fetched_again(
    tmp_path: Path, faults: dict[str, list[int | str]]
) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        server.faults = faults  # type: ignore[assignment]
        path = await files.download("f1", directory=tmp_path)
    assert path.read_bytes() == DATA


async def test_an_address_that_expires_in_the_middle_is_asked_for_again(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)

        def expire(kind: str) -> None:
            if server.requests["get"] == 3 and kind == "get":
                server.generation = 2

        server.before = expire
        path = await files.download("f1", directory=tmp_path)
        assert path.read_bytes() == DATA
        assert server.requests["download"] == 2


async def test_a_store_that_refuses_fresh_addresses_as_well_is_told_of(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        server.faults["get"] = [403] * 50
        with pytest.raises(TransferFailed, match="and fresh ones too"):
            await files.download("f1", directory=tmp_path)


async def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.stored(DATA)

        def stop(kind: str) -> None:
            if server.requests["get"] == 4:
                server.faults["get"] = [503]

        server.before = stop
        with pytest.raises(TransferFailed, match="the same call goes on"):
            await files.download("f1", directory=tmp_path, parts_at_once=1)
        assert names(tmp_path) == ["plan.pdf.part", "plan.pdf.part.json"]
        server.before = lambda kind: None
        server.requests.clear()
        path = await files.download("f1", directory=tmp_path)
        assert (path.name, path.read_bytes()) == ("plan.pdf", DATA)
        assert server.requests["get"] == 3
    assert names(tmp_path) == ["plan.pdf"]


async def test_a_cancelled_download_can_go_on(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        with trio.CancelScope() as scope:
            server.before = lambda kind: scope.cancel() if server.requests["get"] == 3 else None
            await files.download("f1", directory=tmp_path)
        assert scope.cancelled_caught
        server.before = lambda kind: None
        assert (await files.download("f1", directory=tmp_path)).read_bytes() == DATA


async def test_bytes_of_two_versions_are_never_mixed(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        upload = server.stored(DATA[::-1])

        def change(kind: str) -> None:
            if server.requests["get"] == 3:
                server.etag, upload.parts[1] = '"two"', DATA
                server.stored(DATA)

        server.before = change
        server.uploads["f1"].checksum = server.stored(DATA, id_="f2").checksum
        path = await files.download("f1", directory=tmp_path)
    assert path.read_bytes() == DATA


async def test_bytes_that_were_altered_leave_nothing(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        server.faults["get"] = ["garbage"]
        with pytest.raises(WrongChecksum):
            await files.download("f1", directory=tmp_path)
        assert names(tmp_path) == []
        assert (await files.download("f1", directory=tmp_path)).read_bytes() == DATA


async def test_what_another_file_left_half_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "copy.part").write_bytes(b"x" * len(DATA))
    note = {"file_id": "f2", "size": len(DATA), "checksum": "c", "step": 1000, "whole": [0, 1]}
    (tmp_path / "copy.part.json").write_text(json.dumps(note))
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        assert (await files.download("f1", tmp_path / "copy")).read_bytes() == DATA


async def test_a_note_that_can_not_be_read_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "copy.part").write_bytes(b"x" * len(DATA))
    (tmp_path / "copy.part.json").write_text("{")
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        assert (await files.download("f1", tmp_path / "copy")).read_bytes() == DATA


async def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_text("mine")
    (tmp_path / "plan (2).pdf.part").write_text("another's")
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        with pytest.raises(FileExistsError):
            await files.download("f1", tmp_path / "plan.pdf")
        path = await files.download("f1", directory=tmp_path)
    assert path.name == "plan (3).pdf"
    assert (tmp_path / "plan.pdf").read_text() == "mine"


async def test_what_gets_the_name_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)

        def take_the_name(kind: str) -> None:
            (tmp_path / "copy").write_text("mine")

        server.before = take_the_name
        with pytest.raises(FileExistsError):
            await files.download("f1", tmp_path / "copy")
        server.before = lambda kind: None
        assert (await files.download("f1", tmp_path / "other")).read_bytes() == DATA
    assert (tmp_path / "copy").read_text() == "mine"


async def test_a_name_of_somebody_elses_leads_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "downloads"
    inner.mkdir()
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA, "../../.bashrc")
        path = await files.download("f1", directory=inner)
    assert path == inner / "bashrc"
    assert names(tmp_path) == ["downloads"]


async def test_a_file_that_is_not_ready_or_not_there_is_refused(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA).status = "quarantined"
        with pytest.raises(RequestRefused, match="quarantined, not ready"):
            await files.download("f1", directory=tmp_path)
        with pytest.raises(RequestRefused) as refused:
            await files.download("f2", directory=tmp_path)
        assert refused.value.code == "NOT_FOUND"
    assert names(tmp_path) == []


async def test_progress_ends_at_the_whole_and_begins_with_what_is_there(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    async with FileServer().running() as server, files_of(server, patience=0.0) as files:
        server.stored(DATA)
        server.before = lambda kind: server.faults.update(
            get=[503] if server.requests["get"] == 3 else []
        )
        with pytest.raises(TransferFailed):
            await files.download("f1", directory=tmp_path)
        server.before = lambda kind: None
        await files.download(
            "f1", directory=tmp_path, progress=lambda done, total: told.append((done, total))
        )
    assert told[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_a_removed_file_is_gone(tmp_path: Path) -> None:
    async with FileServer().running() as server, files_of(server) as files:
        server.stored(DATA)
        await files.remove("f1")
        with pytest.raises(RequestRefused):
            await files.show("f1")
