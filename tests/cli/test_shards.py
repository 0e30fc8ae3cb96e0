"""`chat4all shards`: what it prints and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.cli.main import run
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.storage_servers import PostgresServer


@pytest.fixture(scope="module")
def dsns(postgres_server: PostgresServer) -> Iterator[list[str]]:
    """Two databases that were used once."""
    with postgres_server.fresh_database() as one, postgres_server.fresh_database() as other:
        assert run(["user", "add", "ann", "--password", "a password", *flags([one, other])]) == 0
        yield [one, other]


def flags(dsns: list[str]) -> list[str]:
    return [each for dsn in dsns for each in ("--postgres", dsn)]


def status(dsns: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["shards", "status", "--json", *flags(dsns)])
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return code, found


def placed(found: dict[str, Any], shard: int) -> int:
    """The position of the database that has the shard."""
    (database,) = [each["database"] for each in found["shards"] if each["shard"] == shard]
    return [each["name"] for each in found["databases"]].index(database) + 1


def test_the_status_shows_every_shard(dsns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, found = status(dsns, capsys)
    assert code == 0
    assert [each["position"] for each in found["databases"]] == [1, 2]
    assert [placed(found, shard) for shard in (2, 3)] == [1, 2]
    assert {each["state"] for each in found["shards"]} == {"serving"}
    assert run(["shards", "status", *flags(dsns)]) == 0
    text = capsys.readouterr().out
    second = found["databases"][1]["name"]
    theirs = [str(each["shard"]) for each in found["shards"] if each["database"] == second]
    assert second in text
    assert f"{len(theirs)} shards: {' '.join(theirs)}" in text
    assert "password" not in text


def test_a_move_by_position_and_by_name(
    dsns: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["shards", "move", "2", "--to", "2", *flags(dsns)]) == 0
    said = capsys.readouterr()
    assert "shard 2 moved to database" in said.out
    assert "paused for" in said.out
    assert "frozen" in said.err
    _, found = status(dsns, capsys)
    assert placed(found, 2) == 2
    first = found["databases"][0]["name"]
    assert run(["shards", "move", "2", "--to", first, "--json", *flags(dsns)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["shard"], report["target"], report["resumed"]) == (2, first, False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["64", "--to", "2"], 2, "shards are 0 to 63"),
        (["2", "--to", "3"], 2, "there is no database 3"),
        (["2", "--to", "1"], 1, "shard 2 is in that database"),
    ],
)
def test_what_can_not_be_moved_is_said(
    dsns: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert run(["shards", "move", *arguments, *flags(dsns)]) == code
    assert said in capsys.readouterr().err


def test_a_database_out_of_reach_and_a_move_that_died_are_findings(
    dsns: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [dsns[0], dsns[1].replace("/test_", "/gone_")]
    code, found = status(gone, capsys)
    assert code == 1
    assert found["databases"][1]["error"]
    assert run(["shards", "move", "2", "--to", "2", *flags(gone)]) == 2
    assert run(["shards", "status", *flags(gone[::-1])]) == 3
    _, found = status(dsns, capsys)
    names = [each["name"] for each in found["databases"]]
    execute(dsns[0], "INSERT INTO shard_moves VALUES (8, $1, $2)", *names)
    assert run(["shards", "status", *flags(dsns)]) == 1
    assert f"chat4all shards move 8 --to {names[1]}" in capsys.readouterr().out
    assert run(["shards", "move", "8", "--to", "2", *flags(dsns)]) == 0
    assert status(dsns, capsys)[0] == 0


def test_without_databases_it_says_how_to_name_them(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["shards", "status", "--data-dir", str(tmp_path / "nothing")]) == 3
    assert "--postgres" in capsys.readouterr().err
