from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.cli.main import FINDING, OK, USAGE, run
from chat4all_protocol.ids import new_id
from chat4all_storage.bridge import open_bridge
from chat4all_storage.ports.files import NewFile, Verdict
from chat4all_storage.storage import open_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

import trio


async def add(dsn: str, verdict: Verdict, owner: str) -> str:
    """A file of which this was found."""
    async with open_bridge() as bridge, open_postgres(bridge, [dsn]) as storage:
        files, id_ = storage.files, new_id()
        new = NewFile(id_, owner, "a \x1b[31mplan.pdf", 2048, "application/pdf", None, id_, 8192)
        await files.add(new, lifetime=60, quota=0, max_uploads=0)
        await files.begun(id_, "upload")
        await files.begin_check(id_, bytes(32), holder="here", lease=30)
        await files.finish(id_, verdict, holder="here")
    return id_


UNSCANNED = Verdict("quarantined", "unscanned")


@pytest.fixture
def files(database: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`chat4all files ARGUMENTS`: its exit code, and what it printed."""

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["files", *arguments, "--postgres", database])
        return code, capsys.readouterr().out

    return command


def lines(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_what_is_in_quarantine_is_listed_and_let_out(
    database: str, files: Callable[..., tuple[int, str]]
) -> None:
    held = trio.run(add, database, UNSCANNED, "ana")
    trio.run(add, database, Verdict("ready"), "ana")
    code, said = files("list", "--json")
    (listed,) = lines(said)
    assert (code, listed["file_id"], listed["status"]) == (OK, held, "quarantined")
    assert (listed["uploaded_by"], listed["reason"]) == ("ana", "unscanned")
    code, said = files("release", held, "--json")
    assert (code, lines(said)[0]["status"]) == (OK, "ready")
    assert files("list", "--json") == (OK, "")
    assert len(lines(files("list", "--owner", "ana", "--json")[1])) == 2
    assert files("list", "--owner", "bob") == (OK, "")


def test_a_file_is_removed_whoever_has_it(
    database: str, files: Callable[..., tuple[int, str]]
) -> None:
    id_ = trio.run(add, database, Verdict("ready"), "ana")
    assert files("remove", id_)[0] == OK
    assert files("list", "--owner", "ana") == (OK, "")
    assert files("remove", id_)[0] == FINDING


def test_what_can_not_be_done_is_told(
    database: str, files: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    ready = trio.run(add, database, Verdict("ready"), "ana")
    run(["files", "release", ready, new_id(), "--postgres", database])
    told = capsys.readouterr()
    assert told.out == ""
    assert "is ready: nothing was done" in told.err
    assert "is unknown: nothing was done" in told.err
    assert run(["files", "release", "../x", "--postgres", database]) == USAGE


def test_a_name_can_not_act_on_the_terminal(
    database: str, files: Callable[..., tuple[int, str]]
) -> None:
    trio.run(add, database, UNSCANNED, "ana")
    said = files("list")[1]
    assert "plan.pdf" in said
    assert "quarantined (unscanned)" in said
    assert "\x1b" not in said
