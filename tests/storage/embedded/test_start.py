"""How the embedded servers start: from what a directory holds, as whom, and how they fail."""

from __future__ import annotations

import os
import pwd
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chat4all_storage.embedded.embedded import EmbeddedError, open_embedded
from chat4all_storage.embedded.processes import (
    Account,
    command_line,
    mark_of,
    marked_processes,
    unprivileged_account,
)
from chat4all_storage.embedded.servers import package_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

# The whole way of an ordinary user, in a home of its own.
ORDINARY_USER = """
import os, pathlib, sys, trio
from chat4all_storage.embedded.embedded import EmbeddedError, find_embedded, open_embedded
async def main():
    assert os.geteuid() != 0
    home = pathlib.Path.home()
    for _ in range(2):
        async with open_embedded(home / "data") as servers:
            assert find_embedded(home / "data")
            owners = {os.stat(f"/proc/{pid}").st_uid for pid in servers.pids.values()}
            assert owners == {os.geteuid()}, owners
    closed = home / "closed"
    closed.mkdir(mode=0o500)
    try:
        async with open_embedded(closed / "data"):
            pass
    except EmbeddedError as error:
        print(error)
trio.run(main)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    mark = mark_of(data_dir)
    yield data_dir
    for pid in marked_processes(mark):
        os.kill(pid, signal.SIGKILL)  # of a test that failed


def is_running(pid: int) -> bool:
    return command_line(pid) != ""


def nothing_runs(data_dir: Path) -> bool:
    return not marked_processes(mark_of(data_dir))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_an_interrupted_first_start_is_made_good(data_dir: Path) -> None:
    (data_dir / "postgres.new-1").mkdir()
    (data_dir / "postgres.new-1" / "PG_VERSION").write_text("18\n")
    async with open_embedded(data_dir, redis=False):
        assert "postgres.new-1" not in entries(data_dir)


async def test_the_pid_of_a_dead_postmaster_may_be_somebody_elses(data_dir: Path) -> None:
    async with open_embedded(data_dir, redis=False):
        text = (data_dir / "postgres" / "postmaster.pid").read_text()
    _, _, rest = text.partition("\n")
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{rest}")
    async with open_embedded(data_dir, redis=False) as servers:
        assert is_running(servers.pids["postgres"])


@pytest.mark.parametrize(
    ("version", "why"),
    [("nonsense", "missing or damaged"), ("16\n", "it is of PostgreSQL 16")],
)
async def test_a_directory_postgresql_cannot_use_is_named(
    data_dir: Path, version: str, why: str
) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "PG_VERSION").write_text(version)
    with pytest.raises(EmbeddedError, match=f"cannot use {data_dir}/postgres: .*{why}"):
        async with open_embedded(data_dir):
            pass
    assert nothing_runs(data_dir)


async def test_a_server_that_does_not_start_is_quoted_from_its_log(data_dir: Path) -> None:
    (data_dir / "redis").mkdir()
    (data_dir / "redis" / "appendonly.aof").write_text("*1\r\n!this is not a command\r\n")
    with pytest.raises(EmbeddedError, match="Bad file format reading the append only") as caught:
        async with open_embedded(data_dir):
            pass
    assert "\n" not in str(caught.value)
    assert nothing_runs(data_dir)


async def test_a_place_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="Not a directory") as caught:
        async with open_embedded(tmp_path / "file" / "data"):
            pass
    assert caught.value.mend == "name another data directory"


def test_a_missing_wheel_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(EmbeddedError, match=r"pip install 'chat4all\[embedded\]'"):
        package_dir("no_such_package", "a-wheel")


if os.geteuid() == 0:

    def test_root_without_setpriv_is_told_when_postgresql_cannot_reach_its_files(
        data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        data_dir.parent.chmod(0o700)
        program = data_dir / "postgres-program"
        with pytest.raises(EmbeddedError, match="refuses to run as root") as caught:
            unprivileged_account(data_dir, data_dir / "postgres", program)
        assert caught.value.mend == "run as an ordinary user, or use --postgres DSN"

    def test_root_without_setpriv_uses_a_plain_account_that_can_reach_its_files(
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PATH", "")
        with tempfile.TemporaryDirectory() as name:
            account = unprivileged_account(Path(name), Path(name, "postgres"), Path("/bin/ls"))
            assert account.uid not in (None, 0)
            assert not account.capability
            assert mode(Path(name)) == 0o711  # a way through, and no look inside

    def test_root_runs_postgresql_as_the_owner_of_its_files(data_dir: Path) -> None:
        (data_dir / "postgres").mkdir()
        os.chown(data_dir / "postgres", 1234, 4321)
        account = unprivileged_account(data_dir, data_dir / "postgres", Path("/bin/ls"))
        assert (account.uid, account.gid) == (1234, 4321)


def test_an_ordinary_user_needs_nothing_but_a_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    account = Account()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        # The capability only lets it read Python, which may be in a private directory of root.
        account = Account(nobody.pw_uid, nobody.pw_gid, capability=True)
        account.give(home)
    environment = os.environ | {"HOME": str(home)}
    status, said = account.run([sys.executable, "-c", ORDINARY_USER], env=environment)
    assert status == 0, said
    assert "Permission denied" in said
    assert "give this user access" in said
