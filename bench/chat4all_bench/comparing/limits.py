"""`--max-regress METRIC=PERCENT%`: by how much a figure may get worse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..result import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .judging import Comparison

_FORM: Final = re.compile(r"\s*([^=\s]+)\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*%?\s*")


class LimitError(Exception):
    """A limit that can't be held to anything: which, and what is allowed."""


class Limit(Struct, frozen=True):
    """As it was asked for."""

    text: str
    metric: str
    percent: float


class Held(Struct, frozen=True):
    """A limit, and one figure that was held to it."""

    text: str
    metric: str
    limit_percent: float
    worse_percent: float
    passed: bool


def parse(text: str) -> Limit:
    """Read `p99=10%`. Raises LimitError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise LimitError(
            f"--max-regress {text!r} is none: it is a metric, =, and per cents that are not below"
            " zero, such as p99=10%"
        )
    return Limit(text, found[1], float(found[2]))


def hold(limits: Sequence[Limit], compared: Sequence[Comparison]) -> list[Held]:
    """Hold every figure to the limits that name it.

    `p99` alone stands for that of every latency. Raises LimitError when there is no such figure, or
    it has no worse.
    """
    found = []
    for limit in limits:
        meant = [each for each in compared if each.metric == limit.metric]
        if not meant and limit.metric in QUANTILES:
            meant = [each for each in compared if limit.metric in each.metric.split("_")]
        judged = [each for each in meant if each.better != "neither"]
        if not judged:
            raise LimitError(f"--max-regress {limit.text!r}: {_reason(limit, meant, compared)}")
        for each in judged:
            worse = each.regress
            passed = worse <= limit.percent
            found.append(Held(limit.text, each.metric, limit.percent, worse, passed))
    return found


def _reason(limit: Limit, meant: list[Comparison], compared: Sequence[Comparison]) -> str:
    if meant:
        return f"{limit.metric} is neither better when lower nor when higher"
    names = ", ".join(each.metric for each in compared if each.better != "neither")
    return f"the runs have no {limit.metric} in common; there are {names or 'none'}"
