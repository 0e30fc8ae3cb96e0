"""Runs as scenarios would find them, for tests of what is told of them."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from chat4all_bench.histogram import Histogram
from chat4all_bench.result import (
    Curve,
    Generator,
    Integrity,
    Machine,
    Metric,
    Process,
    Run,
    Series,
    Target,
    Threshold,
)


def machine() -> Machine:
    """Ours."""
    return Machine(2, "AMD EPYC", 16000, "6.18.0", "CPython 3.11.7")


def histogram(milliseconds: float, *, count: int = 5000, seed: int = 1) -> Histogram:
    """Latencies with this median and a long tail."""
    chance = random.Random(seed)
    found = Histogram()
    for _ in range(count):
        found.add(milliseconds / 1000 * chance.lognormvariate(0, 0.5))
    return found


def run(
    *,
    rounds: int = 1,
    passed: bool = True,
    ack_ms: float = 4.0,
    rates: list[float] | None = None,
    seed: int = 1,
) -> Run:
    """A run of `chat`, without curves."""
    ack, delivery = histogram(ack_ms, seed=seed), histogram(ack_ms * 1.2, seed=seed + 1)
    chance = random.Random(seed)

    def values(around: float) -> list[float]:
        return [around * chance.uniform(0.97, 1.03) for _ in range(rounds)]

    return Run(
        scenario="chat",
        command=["chat4all", "bench", "chat", "--rate", "2000", "--threshold", "ack_p99<25ms"],
        started_at="2026-11-27T11:22:33Z",
        seconds=62.5,
        seed=seed,
        rounds=rounds,
        target=Target("chat4all", "0.1.0", "serve --workers 1", "committed, fsync"),
        machine=machine(),
        parameters={"rate": 2000, "seconds": 60.0, "pairs": 50, "open": True, "window": None},
        passed=passed,
        thresholds=[
            Threshold("ack_p99<25ms", "ack_p99", 25.0, 12.5, True),
            Threshold("rate>1900", "rate", 1900.0, 1996.0 if passed else 1500.0, passed),
        ],
        metrics={
            "rate": Metric(rates or values(1996.0), "/s", "higher"),
            "ack_p50": Metric(values(ack.quantile_ms(0.5)), "ms", "lower"),
            "ack_p99": Metric(values(ack.quantile_ms(0.99)), "ms", "lower"),
            "server_cpu_us": Metric(values(243.0), "us", "lower"),
            "postgres_cpu_us": Metric(values(121.0), "us", "lower"),
            "redis_cpu_us": Metric(values(1.5), "us", "lower"),
            "server_pss": Metric(values(64.2), "MiB", "lower"),
        },
        integrity=Integrity(sent=5000, acknowledged=5000, delivered=5000),
        generator=Generator(processes=2, busy=0.41, late_ms=0.3, was_the_limit=False),
        processes=[
            Process(number, kind, 100 + number, cpu, memory << 20)
            for number in range(rounds)
            for kind, cpu, memory in (("server", 29.2, 64), ("postgres", 14.5, 120))
        ],
        histograms={"ack": ack, "delivery": delivery},
        series={"load": load(seed)},
    )


def load(seed: int = 1, *, seconds: int = 60) -> Series:
    """A minute of load, with one bad moment."""
    chance = random.Random(seed)
    rows = []
    for second in range(seconds):
        slow = 8.0 if second == 40 else 1.0
        rows.append(
            [
                float(second),
                100.0,
                2000 + chance.uniform(-20, 20),
                slow * chance.uniform(3.6, 4.4),
                slow * chance.uniform(10, 14),
                0.0,
            ]
        )
    return Series(["seconds", "sessions", "acknowledged", "p50", "p99", "errors"], rows)


def memory_curve() -> Curve:
    """7 KiB a session on top of 32 MiB."""
    noise = (0, 90_000, -120_000, 60_000, -30_000, 20_000)
    points = [(1000.0 * n, 32.0 * 2**20 + 7168.0 * 1000 * n + noise[n]) for n in range(len(noise))]
    return Curve("sessions", "bytes", points, 7160.0, 32.0 * 2**20, 0.9997)


def load_curve() -> Curve:
    """Latency that rises slowly, and then at once."""
    points = [(2000.0, 4.1), (4000.0, 5.0), (6000.0, 8.7), (8000.0, 14.0), (10000.0, 31.0)]
    return Curve("messages/s", "ms", [*points, (11000.0, 85.0), (12000.0, 410.0)])


def full_run(*, rounds: int = 5) -> Run:
    """Everything that a report may have to show, at once."""
    found = run(rounds=rounds, passed=False)
    found.curves = {"memory": memory_curve(), "load": load_curve()}
    found.histograms["connect"] = histogram(9, count=800, seed=5)
    found.integrity.lost, found.integrity.errors = 3, {"RATE_LIMITED": 12}
    found.generator = Generator(2, 0.97, 64.0, True, "a process was busy for 0.97 of a core")
    found.notes = ["The server ran on the same two cores as PostgreSQL and the generator."]
    return found


def _numbers() -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False, width=32)


def _texts() -> st.SearchStrategy[str]:
    return st.text(max_size=20) | st.sampled_from(
        ["<script>alert(1)</script>", "a&b", "\"'", "]]>"]
    )


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """Any."""
    found = Histogram()
    for seconds in draw(st.lists(st.floats(0, 100), max_size=30)):
        found.add(seconds)
    return found


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Any run, however odd: a report must come out of each."""
    texts, numbers, names = _texts(), _numbers(), _texts()
    metric = st.builds(
        Metric,
        st.lists(numbers, max_size=4),
        texts | st.sampled_from(["ms", "us", "/s", "KiB"]),
        st.sampled_from(["lower", "higher", "neither"]),
    )
    columns = draw(st.lists(texts | st.just("p99"), min_size=1, max_size=3))
    row = st.lists(numbers, min_size=len(columns) + 1, max_size=len(columns) + 1)
    series = st.builds(Series, st.just(["seconds", *columns]), st.lists(row, max_size=5))
    curve = st.builds(
        Curve,
        texts,
        texts,
        st.lists(st.tuples(numbers, numbers), max_size=5),
        st.none() | numbers,
        st.none() | numbers,
        st.none() | numbers,
    )
    return Run(
        scenario=draw(texts),
        command=draw(st.lists(texts, max_size=3)),
        started_at=draw(texts),
        seconds=draw(st.floats(0, 1e6)),
        seed=draw(st.integers(0, 2**31)),
        rounds=draw(st.integers(1, 9)),
        target=draw(st.builds(Target, texts, texts, texts, texts)),
        machine=machine(),
        parameters=draw(st.dictionaries(names, texts | numbers | st.booleans() | st.none())),
        passed=draw(st.booleans()),
        thresholds=draw(
            st.lists(
                st.builds(Threshold, texts, texts, numbers, st.none() | numbers, st.booleans()),
                max_size=3,
            )
        ),
        metrics=draw(st.dictionaries(names | st.just("server_cpu_us"), metric, max_size=4)),
        integrity=draw(
            st.builds(
                Integrity,
                *[st.integers(0, 9)] * 6,
                errors=st.dictionaries(texts, st.integers(0, 99), max_size=2),
            )
        ),
        generator=draw(
            st.builds(Generator, st.integers(1, 9), numbers, numbers, st.booleans(), texts)
        ),
        processes=draw(
            st.lists(
                st.builds(
                    Process,
                    st.integers(0, 3),
                    texts,
                    st.integers(1, 99),
                    st.floats(0, 100),
                    st.integers(0, 2**40),
                ),
                max_size=3,
            )
        ),
        histograms=draw(st.dictionaries(names, histograms(), max_size=3)),
        series=draw(st.dictionaries(names, series, max_size=2)),
        curves=draw(
            st.dictionaries(names | st.sampled_from(["memory", "load"]), curve, max_size=2)
        ),
        notes=draw(st.lists(texts, max_size=2)),
    )
