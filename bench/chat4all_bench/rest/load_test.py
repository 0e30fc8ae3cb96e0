"""The load test: users, or a fixed rate; thresholds, what it cost, and whether all is stored."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..histogram import Histogram
from ..http import NoAnswer, Server
from ..measuring.meter import Usage, meter_of, usage
from . import place
from .generator import generate
from .integrity import Integrity, verify
from .samples import Latency, faults, latency, span
from .verdict import Limits, Threshold, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .generator import Generated
    from .samples import Sample
    from .work import Load, Pair

USERS: Final = "users"
CLIENT: Final = "client"


class Target(Struct, frozen=True):
    """What is put under load."""

    url: str | None = None
    """A server that runs already; None starts one."""
    callers: str = CLIENT
    """Who calls: a service `client` in the users' names, or the `users` themselves."""
    client_id: str = place.CLIENT[0]
    client_secret: str = place.CLIENT[1]
    workers: int = 1
    """Of a server that is started."""


class Opened(Struct, frozen=True):
    """A server that is ready for a run."""

    url: str
    pairs: list[Pair]
    pid: int | None
    """Of a server of ours."""


class GeneratorReport(Struct, frozen=True):
    """What the generator did; see `Generated`."""

    busy: float
    late_ms: float
    connections: int
    was_the_limit: bool


class Report(Struct, frozen=True):
    """The outcome of a run."""

    profile: str
    passed: bool
    thresholds: list[Threshold]
    requests: int
    per_second: float
    """Answers that were good."""
    latency_ms: Latency
    faults: dict[str, int]
    integrity: Integrity
    usage: Usage | None
    """None for a server that is not ours."""
    generator: GeneratorReport
    answers: Histogram
    """From when a message was due until its answer."""


@contextmanager
def opened(target: Target, data_dir: str) -> Iterator[Opened]:
    """A server with the conversations of a run.

    Raises:
        SetupError: it refuses, or does not answer.
    """
    if target.url is not None:
        url = target.url.rstrip("/")
        yield Opened(url, asyncio.run(_pairs_of_client(url, target)), None)
        return
    env = place.ENVIRONMENT
    with place.own_server(data_dir, env, "--workers", str(target.workers)) as (pid, url):
        yield Opened(url, pairs_of(target, url, data_dir), pid)


def pairs_of(target: Target, url: str, data_dir: str) -> list[Pair]:
    """The conversations of a run on a server of ours.

    Raises:
        SetupError: it refuses, or does not answer.
    """
    pairs = place.names()
    access = place.user_tokens(data_dir, place.ENVIRONMENT, pairs)
    if target.callers == USERS:
        return asyncio.run(_pairs_of_users(url, access, pairs))
    place.add_client(data_dir, place.ENVIRONMENT)
    return asyncio.run(_pairs_of_client(url, target))


async def _pairs_of_client(url: str, target: Target) -> list[Pair]:
    server = Server(url)
    token = await place.client_token(server, target.client_id, target.client_secret)
    try:
        return await place.client_pairs(server, token, place.names())
    finally:
        server.close()


async def _pairs_of_users(url: str, access: list[str], pairs: list[tuple[str, str]]) -> list[Pair]:
    server = Server(url)
    try:
        return await place.user_pairs(server, access, pairs)
    finally:
        server.close()


def run(
    profile: str, load: Load, target: Target, limits: Limits, data_dir: str, *, processes: int
) -> Report:
    """Put the load on the target, then read everything back.

    Raises:
        SetupError: the run could not begin.
        RuntimeError: the histories could not be read afterwards.
    """
    with opened(target, data_dir) as at:
        generated, usage = measured(
            at.pid, lambda: generate(at.url, at.pairs, load, processes=processes)
        )
        integrity = asyncio.run(_verify(at, generated))
    return report(profile, generated, limits, integrity, usage)


def measured(pid: int | None, work: Callable[[], Generated]) -> tuple[Generated, Usage | None]:
    """Do this, and tell what it cost the server of this pid, if it is ours."""
    meter = None if pid is None else meter_of(pid)
    generated = work()
    return generated, None if meter is None else usage(meter.spent(), len(generated.samples))


async def _verify(at: Opened, generated: Generated) -> Integrity:
    server = Server(at.url)
    try:
        return await verify(server, at.pairs, generated.samples)
    except NoAnswer as error:
        raise RuntimeError(f"the histories can't be read: {error}") from error
    finally:
        server.close()


def report(
    profile: str,
    generated: Generated,
    limits: Limits,
    integrity: Integrity,
    usage: Usage | None,
) -> Report:
    """The outcome of a run."""
    samples = generated.samples
    thresholds = judge(samples, limits, integrity)
    wrong = faults(samples)
    good = len(samples) - sum(wrong.values())
    return Report(
        profile=profile,
        passed=all(threshold.passed for threshold in thresholds),
        thresholds=thresholds,
        requests=len(samples),
        per_second=round(good / span(samples), 1) if samples else 0.0,
        latency_ms=latency(samples),
        faults=wrong,
        integrity=integrity,
        usage=usage,
        generator=GeneratorReport(
            generated.busy,
            generated.late_ms,
            generated.connections,
            generated.was_the_limit,
        ),
        answers=histogram(samples),
    )


def histogram(samples: Iterable[Sample]) -> Histogram:
    """How long the answers took."""
    found = Histogram()
    for sample in samples:
        if sample.status:
            found.add(sample.done - sample.due)
    return found
