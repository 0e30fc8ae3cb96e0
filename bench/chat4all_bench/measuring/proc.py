"""What /proc tells of processes and of the kernel's memory for sockets. Linux only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msgspec import Struct

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LISTEN: Final = "0A"
GONE: Final = (FileNotFoundError, ProcessLookupError)
"""What reading of a process raises that has ended meanwhile, as workers of a database do."""
SERVER: Final = "server"
POSTGRES: Final = "postgres"
REDIS: Final = "redis"
GENERATOR: Final = "generator"


class Known(Struct, frozen=True):
    """A process, and what it is."""

    kind: str
    """`server`, `postgres`, `redis`, `generator`; for a peer, what it consists of."""
    pid: int


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system.

    Raises:
        FileNotFoundError, ProcessLookupError: it has ended.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pss_bytes(pid: int) -> int:
    """Memory of a process, with what it shares counted in proportion.

    Raises:
        FileNotFoundError, ProcessLookupError: it has ended.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"no Pss for {pid}")  # it is ending: its memory has gone


def resident_bytes(pid: int) -> int:
    """Memory of a process, with all that it shares: unlike PSS, told at no cost to the process.

    Raises:
        FileNotFoundError, ProcessLookupError: it has ended.
    """
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def parents() -> dict[int, int]:
    """Every process's parent."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except GONE:
            continue
        found[int(path.parent.name)] = int(fields[1])
    return found


def with_descendants(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    above = parents()
    found = [pid]
    for each in found:
        found += [child for child, parent in above.items() if parent == each]
    return found


def known(pids: list[int]) -> list[Known]:
    """What each process is; who only keeps the others running is left out."""
    found: list[Known] = []
    for pid in dict.fromkeys(pids):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except GONE:
            continue
        if name == "postgres":
            found.append(Known(POSTGRES, pid))
        elif name == "redis-server":
            found.append(Known(REDIS, pid))
        elif b"chat4all_storage.embedded.keeper" not in command:
            found.append(Known(SERVER, pid))
    return found


def listening_on(port: int) -> list[int]:
    """The processes of this machine that accept connections at a port, as far as we may see."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    found: list[int] = []
    for directory in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(each) in inodes for each in directory.iterdir()):
                found.append(int(directory.parent.name))
        except (PermissionError, *GONE):
            continue
    return sorted(found)


class KernelMemory(Struct, frozen=True):
    """What the kernel uses for sockets, of the whole machine: both ends, when both are on it."""

    buffers: int
    """Bytes that wait in TCP's queues."""
    slab: int
    """Bytes of its objects: sockets, descriptors, and all else that there is."""


def kernel_memory() -> KernelMemory:
    """What it is now."""
    pages = 0
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            pages = int(line.split()[-1])
    slab = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            slab = int(line.split()[1]) * 1024
    return KernelMemory(pages * _PAGE, slab)
