from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_bench.peers import installing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of the PATH, but for a shell."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fake_npm(programs: Path, text: str) -> None:
    program(programs, "node", "exit 1")
    program(programs, "npm", text)


def test_what_is_there_is_not_installed_again_until_its_pins_change(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    fake_npm(programs, f'echo "$1" >> {calls}')
    modules = installing.node_modules(tmp_path / "home")
    assert modules == tmp_path / "home" / "npm" / "node_modules"
    assert installing.node_modules(tmp_path / "home") == modules
    assert calls.read_text() == "ci\n"

    changed = tmp_path / "servers"
    (changed / "npm").mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        (changed / "npm" / name).write_text("other")
    monkeypatch.setattr(installing, "SERVERS", changed)
    installing.node_modules(tmp_path / "home")
    assert calls.read_text() == "ci\nci\n"


def test_an_installation_that_failed_is_begun_anew(tmp_path: Path, programs: Path) -> None:
    fake_npm(programs, "echo no network >&2; exit 1")
    with pytest.raises(installing.NotInstallable, match=r"npm packages .* no network; try: npm ci"):
        installing.node_modules(tmp_path / "home")
    fake_npm(programs, "exit 0")
    installing.node_modules(tmp_path / "home")


@pytest.mark.usefixtures("programs")
def test_a_missing_program_is_told_with_what_brings_it(tmp_path: Path) -> None:
    with pytest.raises(installing.NotInstallable, match="apt-get install nodejs npm"):
        installing.node_modules(tmp_path)
    with pytest.raises(installing.NotInstallable, match="apt-get is not on the PATH"):
        installing.debian_root(tmp_path)


def test_packages_of_debian_are_unpacked_apart_with_what_they_need(
    tmp_path: Path, programs: Path
) -> None:
    program(
        programs,
        "apt-get",
        'case "$1" in\n'
        'install) echo "Inst ejabberd (23.01 Debian)"; echo "Inst erlang-base (25)";;\n'
        'download) shift 2; for each in "$@"; do : > "$each.deb"; done;;\n'
        "esac",
    )
    program(programs, "dpkg", ': > "$3/${2##*/}"')
    root = installing.debian_root(tmp_path / "home")
    assert {"ejabberd.deb", "erlang-base.deb"} <= {path.name for path in root.iterdir()}
    assert not (tmp_path / "home" / "debian-packages").exists()


def test_everything_goes_into_the_users_cache_unless_a_directory_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(installing.default_directory()) == "/somewhere/chat4all/peers"


def test_no_pin_names_the_host_of_a_registry() -> None:
    pins = [installing.SERVERS / "requirements.txt", installing.SERVERS / "npm/package-lock.json"]
    lines = [line for path in pins for line in path.read_text().splitlines() if "://" in line]
    assert [line for line in lines if "funding" not in line and '"url"' not in line] == []
