"""Where the time of a message goes: the server's processor time, by part of its way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from . import place
from .generator import generate
from .load_test import pairs_of
from .sampled import Profile
from .samples import faults
from .work import Window

if TYPE_CHECKING:
    from .load_test import Target


class Breakdown(Struct, frozen=True):
    """Processor time of the server for one message, in microseconds, and shares of it."""

    profile: str
    passed: bool
    requests: int
    server_us: float
    parts_us: dict[str, float]
    shares: dict[str, float]
    """Of each part, in percent."""
    functions: dict[str, float]
    """Those that took most themselves, likewise in percent."""


def run(target: Target, data_dir: str, *, seconds: float, window: int) -> Breakdown:
    """Measure a server of ours, whose stacks are looked at meanwhile.

    Raises:
        SetupError: the run could not begin.
    """
    file = Path(data_dir) / "profile.json"
    program = ("-m", "chat4all_bench.rest.sampled", str(file))
    with place.own_server(data_dir, place.ENVIRONMENT, program=program) as (pid, url):
        pairs = pairs_of(target, url, data_dir)
        os.kill(pid, signal.SIGUSR1)
        samples = generate(url, pairs, Window(window, seconds), processes=1).samples
    profile = msgspec.json.decode(file.read_bytes(), type=Profile)
    good = len(samples) - sum(faults(samples).values())
    return breakdown(profile, good)


def breakdown(profile: Profile, requests: int) -> Breakdown:
    """Seconds of a whole run as microseconds for one message."""
    parts = profile.layers | {"database driver's thread": profile.other_threads}
    total = sum(parts.values()) or 1.0
    each = max(1, requests)
    return Breakdown(
        profile="breakdown",
        passed=requests > 0,
        requests=requests,
        server_us=round(total / each * 1e6, 1),
        parts_us={name: round(spent / each * 1e6, 1) for name, spent in parts.items()},
        shares={name: round(100 * spent / total, 1) for name, spent in parts.items()},
        functions={
            name: round(100 * spent / total, 1) for name, spent in profile.functions.items()
        },
    )
