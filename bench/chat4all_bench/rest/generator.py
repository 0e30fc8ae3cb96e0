"""The generator: processes beside the one that measures, which share a load."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from .samples import Sample, latency, lateness
from .work import CONNECTIONS, Done, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .work import Load, Pair

START_TIME: Final = 1.5
"""Seconds that the processes need until they can begin."""
TOO_BUSY: Final = 0.9
"""Of a core; a process that uses more can't send in time."""
TOO_LATE: Final = 50.0
"""Milliseconds, 99th percentile, by which messages may be sent late."""
TOO_MUCH: Final = 0.1
"""Of the latency's 99th percentile: where lateness is less, something else made the figures."""


class Generated(Struct, frozen=True):
    """What the generator did, and whether it was the one that could not do more."""

    samples: list[Sample]
    busy: float
    """Processor time of its busiest process beside the time that went by."""
    late_ms: float
    """By which messages were sent too late, 99th percentile."""
    connections: int

    @property
    def was_the_limit(self) -> bool:
        """Whether the figures are its own rather than the server's."""
        share = TOO_MUCH * latency(self.samples).p99
        return self.busy > TOO_BUSY or self.late_ms > max(TOO_LATE, share)


def generate(url: str, pairs: Sequence[Pair], load: Load, *, processes: int) -> Generated:
    """Put a load on the server, and wait until every message was answered or given up.

    Raises:
        RuntimeError: a process failed.
    """
    start_at = time.monotonic() + START_TIME
    works = [
        Work(url, list(pairs), load, start_at, each, processes, connections=CONNECTIONS)
        for each in range(processes)
    ]
    with ThreadPoolExecutor(processes) as threads:
        parts = list(threads.map(_in_process, works))
    samples = sorted((each for part in parts for each in part.samples), key=lambda each: each.due)
    return Generated(
        samples,
        busy=max(part.busy for part in parts),
        late_ms=lateness(samples),
        connections=sum(part.connections for part in parts),
    )


def _in_process(work: Work) -> Done:
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, "-m", "chat4all_bench.rest.sending", file.name]
        done = subprocess.run(command, input=msgspec.msgpack.encode(work), check=False)
        if done.returncode:
            raise RuntimeError(f"a process of the generator ended with {done.returncode}")
        return msgspec.msgpack.decode(Path(file.name).read_bytes(), type=Done)
