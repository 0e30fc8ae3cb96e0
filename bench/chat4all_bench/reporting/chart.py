"""What is drawn: lines and points over two axes, or bars; nothing of how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from .tables import Table

AxisKind = Literal["linear", "logarithmic", "nines"]
LineKind = Literal["line", "points", "fit"]


class Axis(Struct, frozen=True):
    """What it counts, and how it is cut."""

    label: str
    kind: AxisKind = "linear"


class Line(Struct, frozen=True):
    """One thing that is shown: joined, as single points, or as the line that fits them."""

    name: str
    points: list[tuple[float, float]]
    """A value that is not finite is a gap."""
    kind: LineKind = "line"


class Chart(Struct, frozen=True):
    """Lines over two axes."""

    name: str
    """For files and for links: letters, digits and hyphens."""
    title: str
    description: str
    """What it shows, in a sentence, for those who do not see it."""
    x: Axis
    y: Axis
    lines: list[Line]
    table: Table
    """The same figures, or as many of them as can be read."""


class Bars(Struct, frozen=True):
    """A length for each name."""

    name: str
    title: str
    description: str
    unit: str
    bars: list[tuple[str, float]]
    table: Table
