"""Logins beside messages: what checking passwords does to the latency of everything else."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..http import NoAnswer, Server
from ..targets.accounts import PASSWORD, tokens
from . import place
from .generator import START_TIME, generate
from .load_test import opened
from .samples import faults, latency
from .verdict import Threshold
from .work import Rate

if TYPE_CHECKING:
    from .load_test import Target
    from .samples import Latency

ACCOUNTS: Final = 20
"""That log in, again and again."""
COST: Final = "12"
"""Of their passwords' hashes: what the server has by itself."""
REFUSALS: Final = frozenset({429, 503, 504})
"""Too many at once, or too slow: to be tried again."""
PAUSE: Final = 1.0
"""Seconds before that, unless the server asks for others."""
JITTER: Final = 0.5
"""A client waits up to so much longer, of what it is asked for: else all come back at once."""


class Attempts(Struct):
    """What became of logins."""

    good: int = 0
    refused: int = 0
    """With 429, 503 or 504, as there were too many."""
    failed: int = 0


class Logins(Struct, frozen=True):
    """Messages at a steady rate, without and with logins beside them."""

    profile: str
    passed: bool
    thresholds: list[Threshold]
    without: Latency
    beside: Latency
    p99_ratio: float
    logins: Attempts
    logins_per_second: float
    faults: dict[str, int]
    """Of the messages."""


def run(
    target: Target, data_dir: str, *, parallel: int, per_second: float, seconds: float
) -> Logins:
    """Measure messages alone, then beside `parallel` callers that log in without a pause.

    Raises:
        SetupError: the run could not begin.
    """
    load = Rate(per_second, seconds)
    names = [f"login_{number}" for number in range(ACCOUNTS)]
    with opened(target, data_dir) as at:
        if target.url is None:
            env = place.ENVIRONMENT | {"CHAT4ALL_BCRYPT_COST": COST}
            tokens(["--data-dir", data_dir], names, env)
        alone = generate(at.url, at.pairs, load, processes=1).samples
        with ThreadPoolExecutor(1) as thread:
            messages = thread.submit(generate, at.url, at.pairs, load, processes=1)
            time.sleep(START_TIME)
            attempts = asyncio.run(log_in(at.url, names, parallel, seconds))
            beside = messages.result().samples
    wrong = faults([*alone, *beside])
    before, after = latency(alone), latency(beside)
    thresholds = [
        Threshold("messages that failed", 0, sum(wrong.values()), not wrong),
        Threshold("logins that failed", 0, attempts.failed, not attempts.failed),
        Threshold("logins, at least", 1, attempts.good, attempts.good > 0),
    ]
    return Logins(
        profile="logins",
        passed=all(each.passed for each in thresholds),
        thresholds=thresholds,
        without=before,
        beside=after,
        p99_ratio=round(after.p99 / before.p99, 2) if before.p99 else 0.0,
        logins=attempts,
        logins_per_second=round(attempts.good / seconds, 1),
        faults=wrong,
    )


async def log_in(url: str, names: list[str], parallel: int, seconds: float) -> Attempts:
    """Log in over so many connections at once, for so long."""
    server = Server(url, most=parallel)
    attempts = Attempts()
    ends = time.monotonic() + seconds

    async def live(name: str) -> None:
        body = {"username": name, "password": PASSWORD}
        while time.monotonic() < ends:
            try:
                answer = await server.call("POST", "/v1/auth/token", body=body)
            except NoAnswer:
                attempts.failed += 1
                continue
            if answer.status == 200:
                attempts.good += 1
            elif answer.status in REFUSALS:
                attempts.refused += 1
                await asyncio.sleep((answer.retry_after or PAUSE) * random.uniform(1, 1 + JITTER))
            else:
                attempts.failed += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(parallel):
            tasks.create_task(live(names[number % len(names)]))
    server.close()
    return attempts
