"""Breaks modules in small ways, one after the other, and tells which of them no test noticed.

::

    python -m tests.mutation run chat4all_actors/kernel --tests tests/kernel
    python -m tests.mutation survivors chat4all_actors/kernel

mutmut works in a directory of ``mutants/`` for these modules, where every package lies at the top,
as it names modules by their paths. What was decided is kept there: a run that was interrupted goes
on where it was, and one after a change tries the functions that changed. Remove the directory to
try everything against new tests, or name mutants (``--only``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MUTMUT: Final = str(Path(sys.executable).with_name("mutmut"))
PACKAGES: Final = {
    "chat4all_actors": ".",
    "chat4all_protocol": "protocol",
    "chat4all_client": "protocol",
    "chat4all_storage": "storage",
    "chat4all_connectors": "connectors",
    "chat4all_bench": "bench",
}
BESIDE: Final = ("tests", "protocol", "storage", "connectors", "bench")
"""What tests find by its path in the repository."""


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="try the mutants that are not decided yet")
    run.add_argument("modules", nargs="+", help="folders, or modules with .py")
    run.add_argument("--tests", nargs="+", required=True, help="what has to notice")
    run.add_argument("--without", nargs="+", default=[], help="tests that look at the code's form")
    run.add_argument("--only", nargs="+", default=[], help="mutants to try (again)")
    run.add_argument("--processes", type=int, default=1)
    run.set_defaults(do=_run)
    survivors = commands.add_parser("survivors", help="show what no test noticed")
    survivors.add_argument("modules", nargs="+", help="as for run")
    survivors.set_defaults(do=_survivors)
    asked = parser.parse_args()
    asked.modules = [_in_package(name) for name in asked.modules]
    asked.do(asked)


def _in_package(name: str) -> str:
    top, _, rest = name.partition("/")
    return name if top in PACKAGES else rest


def _run(asked: argparse.Namespace) -> None:
    directory = _directory(asked.modules)
    directory.mkdir(parents=True, exist_ok=True)
    for name, parent in PACKAGES.items():
        _link(directory / name, ROOT / parent / name)
    for name in BESIDE:
        _link(directory / name, ROOT / name)
    own = {
        "source_paths": list(PACKAGES),
        "only_mutate": [name if name.endswith(".py") else f"{name}/*" for name in asked.modules],
        "also_copy": list(BESIDE),
        "pytest_add_cli_args_test_selection": [
            *asked.tests,
            *(f"--deselect={name}" for name in asked.without),
        ],
    }
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
    settings = (ROOT / "pyproject.toml").read_text()
    settings = settings.replace("[tool.mutmut]\n", f"[tool.mutmut]\n{lines}")
    (directory / "pyproject.toml").write_text(settings)
    os.chdir(directory)
    os.execv(MUTMUT, [MUTMUT, "run", "--max-children", str(asked.processes), *asked.only])


def _survivors(asked: argparse.Namespace) -> None:
    directory = _directory(asked.modules)
    results = subprocess.run(
        [MUTMUT, "results"], cwd=directory, check=True, capture_output=True, text=True
    )
    for line in results.stdout.splitlines():
        name, _, status = line.strip().rpartition(": ")
        if status in ("survived", "no tests", "suspicious"):
            subprocess.run([MUTMUT, "show", name], cwd=directory, check=True)


def _directory(modules: list[str]) -> Path:
    return (
        ROOT / "mutants" / "+".join(name.removesuffix(".py").replace("/", ".") for name in modules)
    )


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink():
        path.symlink_to(target)


if __name__ == "__main__":
    main()
