"""What a run found, as it is kept in `run.json`: figures, histograms, series and a verdict.

A run is one scenario against one target, some rounds (`--repeat`) of it. Fields may be added under
the same `VERSION`; readers ignore what they do not know.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from .histogram import Histogram  # noqa: TC001 - decoded by its annotations

VERSION: Final = 1

Better = Literal["lower", "higher", "neither"]

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
"""Those of every latency; a figure is named by them: `ack_p99`, or `p99` of the main one."""
COSTS: Final = ("server_cpu_us", "postgres_cpu_us", "redis_cpu_us")
"""Processor time of each kind of process, for a message."""
INTEGRITY: Final = ("lost", "doubled", "reordered", "errors", "generator_busy", "late_p99")
"""What every run tells."""


class Metric(Struct):
    """One figure, once for each round."""

    values: list[float]
    unit: str = ""
    """`ms`, `us`, `KiB`, `/s`, `%`, `cores`, …; empty for a plain number."""
    better: Better = "neither"


class Threshold(Struct, frozen=True):
    """A condition of the run, and what was measured."""

    text: str
    """As it was asked for: `p99<50ms`."""
    metric: str
    limit: float
    """In the metric's unit."""
    value: float | None
    """The worst of all rounds; None when the run has no such figure, which breaks it."""
    passed: bool


class Integrity(Struct):
    """Whether every message came once and in order, over all rounds.

    `lost`, `doubled` and `reordered` fail a run; so does an error that the scenario did not expect.
    """

    sent: int = 0
    acknowledged: int = 0
    delivered: int = 0
    lost: int = 0
    """Acknowledged, and not received by somebody it was for; or never answered."""
    doubled: int = 0
    reordered: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """What went wrong, and how often."""

    def add(self, other: Integrity) -> None:
        """Add what another round or run found."""
        self.sent += other.sent
        self.acknowledged += other.acknowledged
        self.delivered += other.delivered
        self.lost += other.lost
        self.doubled += other.doubled
        self.reordered += other.reordered
        for what, count in other.errors.items():
            self.errors[what] = self.errors.get(what, 0) + count

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, doubled or out of order."""
        return not (self.lost or self.doubled or self.reordered)


class Process(Struct):
    """What one process of the target used during the measured part of a round."""

    round: int
    kind: str
    """`server`, `postgres`, `redis`; for a peer, what it consists of."""
    pid: int
    cpu_seconds: float
    pss_bytes: int
    """Afterwards; memory that is shared counts in proportion."""


class Generator(Struct):
    """What generated the load."""

    processes: int
    busy: float
    """The busiest process: cores, over the measured part of the busiest round."""
    late_ms: float
    """By which messages were sent too late, 99th percentile."""
    was_the_limit: bool
    """The figures are its own rather than the target's: why is in `reason`."""
    reason: str = ""


class Series(Struct):
    """Something over time, a row for each interval; the first column is `seconds`."""

    columns: list[str]
    rows: list[list[float]]


class Curve(Struct):
    """Points of one figure over another, with the line that fits them if one was sought.

    `memory` is bytes over sessions, `load` is milliseconds over messages a second.
    """

    x: str
    y: str
    points: list[tuple[float, float]]
    slope: float | None = None
    intercept: float | None = None
    r_squared: float | None = None


class Machine(Struct):
    """Where it ran."""

    cpus: int
    cpu: str
    memory_mib: int
    kernel: str
    python: str


class Target(Struct):
    """What was measured."""

    name: str
    """`chat4all`, or a peer."""
    version: str
    where: str
    """A URL, or the flags it was started with."""
    durability: str
    """What is on disk when a message is acknowledged."""


class Run(Struct):
    """All of it."""

    scenario: str
    command: list[str]
    """That reproduces it."""
    started_at: str
    """RFC 3339, UTC."""
    seconds: float
    seed: int
    rounds: int
    target: Target
    machine: Machine
    parameters: dict[str, str | int | float | bool | None]
    passed: bool
    thresholds: list[Threshold]
    metrics: dict[str, Metric]
    integrity: Integrity
    generator: Generator
    processes: list[Process] = field(default_factory=list)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """Over all rounds: `ack`, `delivery`, `connect`, …"""
    series: dict[str, Series] = field(default_factory=dict)
    """`load`: sessions, messages a second, p50, p99, errors, a row a second."""
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What a reader must know to read the figures right."""
    version: int = VERSION
