"""Processor time and memory of a server: its own, PostgreSQL's and Redis's apart, from `/proc`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from .processes import cpu_seconds, pss_bytes, with_descendants

KINDS: Final = ("server", "postgres", "redis")


class Usage(Struct, frozen=True):
    """What a load cost; processor time in microseconds for each request."""

    server_us: float
    postgres_us: float
    redis_us: float
    server_mib: float
    """Memory afterwards."""


class Meter:
    """Processor time since it was made."""

    def __init__(self, pid: int) -> None:
        """`pid` is the server's, whose PostgreSQL and Redis are its descendants."""
        self._pid = pid
        self._before = self._seconds()

    def usage(self, requests: int) -> Usage:
        """What so many requests cost."""
        after = self._seconds()
        server, postgres, redis = (
            round((after[kind] - self._before[kind]) / max(1, requests) * 1e6, 1) for kind in KINDS
        )
        memory = sum(pss_bytes(pid) for pid in _processes(self._pid)["server"])
        return Usage(server, postgres, redis, round(memory / 2**20, 1))

    def _seconds(self) -> dict[str, float]:
        found = _processes(self._pid)
        return {kind: sum(map(_seconds_of, found[kind])) for kind in KINDS}


def _seconds_of(pid: int) -> float:
    """Of a process that may have ended a moment ago, as workers of a database do."""
    try:
        return cpu_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _processes(pid: int) -> dict[str, list[int]]:
    """The processes of a server by their kind; who only keeps the others running has none."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for each in with_descendants(pid):
        try:
            name = Path(f"/proc/{each}/comm").read_text().strip()
            command = Path(f"/proc/{each}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == "postgres":
            found["postgres"].append(each)
        elif name == "redis-server":
            found["redis"].append(each)
        elif b"chat4all_storage.keeper" not in command:
            found["server"].append(each)
    return found
