"""What CONTRIBUTING.md tells a newcomer to do works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
GUIDE: Final = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_first_change_applies_and_its_test_passes_with_it_and_fails_without(
    tmp_path: Path,
) -> None:
    (change,) = re.findall(r"```diff\n(.*?)```", GUIDE, re.DOTALL)
    (test,) = re.findall(r"^\+def (test_\w+)\(", change, re.MULTILINE)
    touched = re.findall(r"^\+\+\+ b/(.+)$", change, re.MULTILINE)
    (module,) = [name for name in touched if name.startswith("tests/")]
    for name in ("chat4all_actors", "tests/cli"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def apply(*which: str) -> None:
        command = ["git", "apply", *(f"--include={name}" for name in which), "-"]
        subprocess.run(command, cwd=tmp_path, input=change, text=True, check=True)

    def run_test() -> int:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", module]
        done = subprocess.run([*command, "-k", test], cwd=tmp_path, check=False)
        return done.returncode

    apply(module)
    assert run_test() == 1
    apply(*(name for name in touched if name != module))
    assert run_test() == 0


def test_it_installs_from_the_lock() -> None:
    assert "--require-hashes -r requirements.lock" in GUIDE


def test_it_names_every_habit_with_a_file_that_shows_it() -> None:
    table = GUIDE.partition("| habit | seen in | here |\n|---|---|---|\n")[2]
    rows = [row for row in table.splitlines() if row.startswith("|")]
    assert len(rows) == 25
    for row in rows:
        named = re.findall(r"`([\w/.]+\.(?:py|md|toml))`", row)
        assert named
        assert all((ROOT / name).exists() for name in named if "/" in name)
