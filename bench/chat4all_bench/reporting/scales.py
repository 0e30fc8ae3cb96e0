"""Where a value stands on an axis, from 0.0 (left, bottom) to 1.0, and which values are marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from .figures import figure

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_LEAST: Final = 1e-12
"""What differs by less is the same."""


class Scale(Protocol):
    """An axis."""

    def place(self, value: float) -> float:
        """From 0.0 to 1.0; a value beyond the axis is put at its end."""
        ...

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Values to mark with their labels, about so many at most."""
        ...


class Linear:
    """Equal steps; from zero, unless something is below or `from_zero` is no wish."""

    def __init__(self, values: Iterable[float], most: int = 6, *, from_zero: bool = True) -> None:
        found = list(values)
        if from_zero or not found:
            found.append(0.0)
        low, high = min(found), max(found)
        if high - low < _LEAST:
            high = low + 1.0
        self._step = step_for(high - low, most)
        self._low = math.floor(low / self._step) * self._step
        self._high = math.ceil(high / self._step) * self._step

    def place(self, value: float) -> float:
        """In proportion."""
        return _within((value - self._low) / (self._high - self._low))

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At round numbers."""
        step = max(self._step, step_for(self._high - self._low, most))
        first = math.ceil(self._low / step - 1e-9)
        last = math.floor(self._high / step + 1e-9)
        return [(number * step, _short(number * step)) for number in range(first, last + 1)]


class Logarithmic:
    """Equal factors; values that are not above zero stand at the lower end."""

    def __init__(self, values: Iterable[float]) -> None:
        found = [value for value in values if value > 0] or [1.0]
        low, high = math.floor(math.log10(min(found))), math.floor(math.log10(max(found)))
        # The round numbers around the values, and one beyond each end in case of rounding.
        marks = [part * 10.0**power for power in range(low, high + 2) for part in (1, 2, 5)]
        first = max((mark for mark in marks if mark <= min(found)), default=marks[0])
        last = min((mark for mark in marks if mark >= max(found)), default=marks[-1])
        if first == last:
            last = marks[marks.index(first) + 1]
        self._marks = [mark for mark in marks if first <= mark <= last]
        self._low, self._decades = first, math.log10(last / first)

    def place(self, value: float) -> float:
        """In proportion to the logarithm."""
        return _within(math.log10(value / self._low) / self._decades) if value > 0 else 0.0

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At 1, 2 and 5 of each power of ten, or at fewer of them."""
        shown = self._marks
        if len(shown) > most:
            powers = [mark for mark in shown if f"{mark:e}".startswith("1")]
            shown = powers[:: math.ceil(len(powers) / most)]
        return [(value, _short(value)) for value in shown]


class Nines:
    """Quantiles by how rare what lies beyond them is: from 90 to 99 % is as far as to 99.9 %."""

    def __init__(self, greatest: float) -> None:
        """Up to this quantile, which is below 1."""
        self._decades = max(1.0, math.log10(1 / (1 - greatest)))

    def place(self, value: float) -> float:
        """In proportion to the logarithm of 1 / (1 - q)."""
        if value >= 1:
            return 1.0
        return _within(math.log10(1 / (1 - value)) / self._decades)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At 0, 50, 90, 99, 99.9 … per cent, the median only if there is room."""
        found = [0.0, *([0.5] if most > self._decades + 1 else [])]
        found += [1 - 10.0**-decade for decade in range(1, math.floor(self._decades + 1e-9) + 1)]
        every = math.ceil(len(found) / most)
        return [(value, f"{value * 100:.10g}%") for value in found[::every]]


def step_for(span: float, most: int) -> float:
    """The least of 1, 2 and 5 times a power of ten that cuts a span into so many parts or fewer."""
    rough = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((step * power for step in _STEPS if step * power >= rough * 0.999), 10 * power)


def _within(place: float) -> float:
    return min(1.0, max(0.0, place))


def _short(value: float) -> str:
    """A label: thousands and millions as `k` and `M`."""
    size = abs(value)
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            unit = min(unit, 1e3) if name == "k" else unit
            return f"{value / unit:.4g}{name}"
    return figure(round(value, 12)) if size >= 100 or value == 0 else f"{value:.4g}"
