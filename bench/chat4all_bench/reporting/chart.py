"""What is drawn: lines and points over two axes, or bars; nothing of how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from .tables import Table

AxisKind = Literal["linear", "range", "logarithmic", "nines"]
"""`range` is linear, and need not begin at zero."""
LineKind = Literal["line", "curve", "points", "fit"]


class Axis(Struct, frozen=True):
    """What it counts, and how it is cut."""

    label: str
    kind: AxisKind = "linear"


class Line(Struct, frozen=True):
    """One thing that is shown: joined points, a smooth curve, single points, or what fits them."""

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


class Bar(Struct, frozen=True):
    """One length; those of the same colour are of a kind."""

    name: str
    value: float
    colour: int


class Bars(Struct, frozen=True):
    """A length for each name."""

    name: str
    title: str
    description: str
    unit: str
    bars: list[Bar]
    table: Table
