"""Servers as processes, and what /proc tells of them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pss_bytes(pid: int) -> int:
    """Memory of a process, with what it shares counted in proportion."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss for {pid}")


def processes_with(text: str) -> list[int]:
    """Processes whose command line holds `text`."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@contextmanager
def server_process(
    command: list[str], env: dict[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """Run a server that prints a line ending in its port; yields its pid and the port."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, env=os.environ | (env or {}), text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command} ended with {process.wait()}")
        yield process.pid, int(line.strip().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()
