"""Conditions of a run: `p99<50ms`, `rate>11600`, `lost==0`, `server_cpu_us<60`."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .. import result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..result import Metric

_FORM: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*([0-9][0-9_.,]*)\s*(\S*)\s*")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_TIMES: Final = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
"""In milliseconds."""
_SIZES: Final = {"B": 1 / 1024, "KiB": 1.0, "MiB": 1024.0, "GiB": 1024.0**2}
"""In KiB."""
_SCALES: Final = (_TIMES, _SIZES)


class ThresholdError(Exception):
    """A threshold that can't be held to anything: which, and what is allowed."""


class Condition(Struct, frozen=True):
    """A threshold as it was asked for."""

    text: str
    metric: str
    comparison: str
    limit: float
    unit: str
    """Empty: the metric's own."""


def parse(text: str) -> Condition:
    """Read one.

    Raises:
        ThresholdError: it is none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ThresholdError(
            f"--threshold {text!r} is none: it is a metric, one of < <= > >= == !=, and a number"
            " with its unit, such as p99<50ms, rate>11600 or lost==0"
        )
    metric, comparison, number, unit = found.groups()
    try:
        limit = float(number.replace("_", "").replace(",", ""))
    except ValueError:
        raise ThresholdError(f"--threshold {text!r}: {number} is no number") from None
    units = [each for scale in _SCALES for each in scale]
    if unit not in ("", "%", "/s", *units):
        raise ThresholdError(
            f"--threshold {text!r}: {unit} is no unit: there are {', '.join(units)}, % and /s"
        )
    return Condition(text, metric, comparison, limit, unit)


def check_names(conditions: Iterable[Condition], names: Iterable[str]) -> None:
    """See that a run will have these metrics; a name that ends in `*` stands for several.

    Raises:
        ThresholdError: it won't.
    """
    allowed = list(names)
    for each in conditions:
        if not any(_fits(each.metric, name) for name in allowed):
            raise ThresholdError(
                f"--threshold {each.text!r}: there is no metric {each.metric}; there are "
                + ", ".join(allowed)
            )


def _fits(metric: str, name: str) -> bool:
    return metric.startswith(name[:-1]) if name.endswith("*") else metric == name


def judge(condition: Condition, metrics: Mapping[str, Metric], primary: str) -> result.Threshold:
    """Hold a run to a condition, in its worst round. `p99` alone is that of `primary`.

    Raises:
        ThresholdError: its unit is not one of the metric's.
    """
    metric = metrics.get(condition.metric) or metrics.get(f"{primary}_{condition.metric}")
    if metric is None or not metric.values:
        return result.Threshold(
            condition.text, condition.metric, condition.limit, value=None, passed=False
        )
    limit = condition.limit * _factor(condition, metric.unit)
    compare = _COMPARE[condition.comparison]
    worst = min(metric.values) if condition.comparison in (">", ">=") else max(metric.values)
    passed = all(compare(value, limit) for value in metric.values)
    return result.Threshold(condition.text, condition.metric, limit, value=worst, passed=passed)


def _factor(condition: Condition, unit: str) -> float:
    if condition.unit in ("", unit):
        return 1.0
    for scale in _SCALES:
        if condition.unit in scale and unit in scale:
            return scale[condition.unit] / scale[unit]
    raise ThresholdError(
        f"--threshold {condition.text!r}: {condition.metric} is in {unit or 'plain numbers'},"
        f" which {condition.unit} can't be made into"
    )
