"""Measures what each module's own tests reach of it, branch by branch.

::

    python -m tests.own_coverage chat4all_actors/kernel
    python -m tests.own_coverage chat4all_actors/kernel/pool.py --missing --least 90

The tests of ``kernel/pool.py`` are ``tests/kernel/test_pool.py``, others beside it whose names go
on (``test_pool_ends.py``), and those in a folder of its name. What other tests reach by the way
does not count: it is no statement about the module.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
TESTS: Final = {
    "protocol/chat4all_protocol": "tests/protocol",
    "protocol/chat4all_client": "tests/client",
    "storage/chat4all_storage": "tests/storage",
    "bench/chat4all_bench": "tests/bench",
    "chat4all_actors": "tests",
}
"""Where the tests of a package are."""
TOP: Final = "tests/actors"
"""Those of the modules that lie at the top of `chat4all_actors`."""


def main() -> int:
    """Measure what the command line names; 1 when something is below `--least`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.own_coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("modules", nargs="+", help="folders, or modules with .py")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="for each (0)")
    parser.add_argument("--missing", action="store_true", help="show what is not reached")
    asked = parser.parse_args()
    low = False
    for module in (each for name in asked.modules for each in modules_of(ROOT / name)):
        found = _measure(module, tests_of(module))
        shown = "no tests" if found is None else f"{found['summary']['percent_covered']:.1f} %"
        print(f"{shown:>9}  {module}", flush=True)
        if found is None or found["summary"]["percent_covered"] < asked.least:
            low = True
        if found is not None and asked.missing:
            _show(found)
    return int(low)


def modules_of(path: Path) -> list[str]:
    """The modules that a path means, by their paths in the repository."""
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [
        file.relative_to(ROOT).as_posix()
        for file in files
        if file.name not in ("__init__.py", "__main__.py")
    ]


def tests_of(module: str) -> list[str]:
    """The test modules of a module."""
    package = next(name for name in TESTS if module.startswith(f"{name}/"))
    inner = Path(module).relative_to(package)
    folder = ROOT / TESTS[package] / inner.parent
    if package == "chat4all_actors" and inner.parent == Path():
        folder = ROOT / TOP
    found = [
        *folder.glob(f"test_{inner.stem}.py"),
        *folder.glob(f"test_{inner.stem}_*.py"),
        *(folder / inner.stem).glob("test_*.py"),
    ]
    return sorted(file.relative_to(ROOT).as_posix() for file in found)


def _measure(module: str, tests: list[str]) -> dict[str, Any] | None:
    """What coverage tells of a module after these tests; None without any.

    A test that fails ends it with pytest's own report.
    """
    if not tests:
        return None
    with tempfile.TemporaryDirectory() as directory:
        coverage = (sys.executable, "-m", "coverage")
        data, report = f"--data-file={directory}/data", f"{directory}/report.json"
        run = [*coverage, "run", "--branch", data, f"--include={ROOT / module}", "-m", "pytest"]
        done = subprocess.run(
            [*run, "-q", "-p", "no:cacheprovider", *tests],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{module}: its own tests fail\n{done.stdout}{done.stderr}")
        subprocess.run([*coverage, "json", "-q", data, "-o", report], cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(Path(report).read_text(encoding="utf-8"))
    (told,) = found["files"].values()
    return dict(told)


def _show(found: dict[str, Any]) -> None:
    if found["missing_lines"]:
        print(f"           lines {', '.join(map(str, found['missing_lines']))}")
    for start, end in found["missing_branches"]:
        print(f"           from line {start} to {'the end' if end < 0 else end}")


if __name__ == "__main__":
    sys.exit(main())
