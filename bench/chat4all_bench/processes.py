"""Servers as processes, and what /proc tells of them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chat4all_storage.embedded import find_embedded
from chat4all_storage.servers import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.embedded import Addresses

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def with_descendants(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def pss_bytes(pid: int) -> int:
    """Memory of a process, with what it shares counted in proportion."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss for {pid}")


@contextmanager
def embedded_servers(data_dir: str) -> Iterator[Addresses]:
    """PostgreSQL and Redis, without a node: for several nodes to stand on."""
    logs = Layout(Path(data_dir)).logs
    logs.mkdir(parents=True)
    with (logs / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "chat4all_storage.keeper", data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper:
        said = keeper.stdout.readline()
        addresses = find_embedded(Path(data_dir))
        if addresses is None:
            raise RuntimeError(f"no servers: {said.decode()}")
        yield addresses
        keeper.stdin.close()


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
