"""Processor time and memory of the processes of a target, over a part of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .proc import GONE, POSTGRES, REDIS, SERVER, cpu_seconds, known, pss_bytes, with_descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .proc import Known


class Spent(Struct, frozen=True):
    """What one process used in between."""

    kind: str
    pid: int
    cpu_seconds: float
    pss_bytes: int
    """Afterwards."""


class Meter:
    """Processor time since it was made, of processes that may come and go meanwhile."""

    def __init__(self, processes: Callable[[], list[Known]]) -> None:
        self._processes = processes
        self._before = {each.pid: seconds_of(each.pid) for each in processes()}

    def spent(self) -> list[Spent]:
        """What each process has used; of one that is new, all."""
        return [
            Spent(
                each.kind,
                each.pid,
                seconds_of(each.pid) - self._before.get(each.pid, 0.0),
                memory_of(each.pid),
            )
            for each in self._processes()
        ]


def seconds_of(pid: int) -> float:
    """Of a process that may have ended a moment ago."""
    try:
        return cpu_seconds(pid)
    except GONE:
        return 0.0


def memory_of(pid: int) -> int:
    """PSS of a process that may have ended a moment ago, or may not be looked into."""
    try:
        return pss_bytes(pid)
    except (PermissionError, *GONE):
        return 0


def by_kind(spent: Iterable[Spent]) -> dict[str, float]:
    """Seconds of processor time."""
    found: dict[str, float] = {}
    for each in spent:
        found[each.kind] = found.get(each.kind, 0.0) + each.cpu_seconds
    return found


def memory_by_kind(processes: Iterable[Known]) -> dict[str, int]:
    """Bytes of PSS now."""
    found: dict[str, int] = {}
    for each in processes:
        found[each.kind] = found.get(each.kind, 0) + memory_of(each.pid)
    return found


class Usage(Struct, frozen=True):
    """What a load on a server of ours cost; microseconds of processor time for each request."""

    server_us: float
    postgres_us: float
    redis_us: float
    server_mib: float
    """Memory afterwards."""


def meter_of(pid: int) -> Meter:
    """Measure a server whose PostgreSQL and Redis are its descendants."""
    return Meter(lambda: known(with_descendants(pid)))


def usage(spent: list[Spent], requests: int) -> Usage:
    """What so many requests cost."""
    seconds = by_kind(spent)
    server, postgres, redis = (
        round(seconds.get(kind, 0.0) / max(1, requests) * 1e6, 1)
        for kind in (SERVER, POSTGRES, REDIS)
    )
    memory = sum(each.pss_bytes for each in spent if each.kind == SERVER)
    return Usage(server, postgres, redis, round(memory / 2**20, 1))
