"""A fake as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]


@contextmanager
def run_fake(name: str, *arguments: str) -> Iterator[str]:
    """`python -m tests.fakes.NAME` at a free port, by its address."""
    command = [sys.executable, "-m", f"tests.fakes.{name}", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on "), f"the fake of {name} did not start"
            yield line.removeprefix("listening on ").strip()
        finally:
            process.kill()
