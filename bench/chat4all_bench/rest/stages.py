"""How many virtual users there are at each moment: stages, as k6 has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_STAGE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h):(?P<users>\d+)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

FULL: Final = "2m:100,5m:100,2m:500,5m:500,2m:1000,5m:1000,2m:0"
"""The stages of the load test that the service was specified with: 23 minutes."""
SHORT: Final = "6s:100,15s:100,6s:500,15s:500,6s:1000,15s:1000,6s:0"
"""The same virtual users, in a twentieth of the time."""


class Stage(Struct, frozen=True):
    """The number of users moves to `users` within `seconds`, evenly."""

    seconds: float
    users: int


def parse(text: str) -> list[Stage]:
    """Stages from `DURATION:USERS,…`, such as `30s:100,5m:100,30s:0`.

    Raises:
        ValueError: with what is not understood.
    """
    stages: list[Stage] = []
    for part in text.split(","):
        match = _STAGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is no stage such as 30s:100 or 5m:500")
        seconds = float(match["number"]) * _SECONDS[match["unit"]]
        stages.append(Stage(seconds, int(match["users"])))
    if not any(stage.users for stage in stages):
        raise ValueError("no stage has any users")
    return stages


def length(stages: Sequence[Stage]) -> float:
    """Seconds of all stages."""
    return sum(stage.seconds for stage in stages)


def users_at(stages: Sequence[Stage], seconds: float) -> int:
    """How many users there are so long after the start; none when all stages are over."""
    before = 0
    for stage in stages:
        if seconds < stage.seconds:
            return round(before + (stage.users - before) * seconds / stage.seconds)
        seconds -= stage.seconds
        before = stage.users
    return 0
