"""Charts as SVG, without script; colours are classes, which the page or `style` gives a value.

Each is drawn for a width: text keeps its size, and a narrow drawing has fewer marks. This is
ours rather than pygal (3.1, looked at on 2026-11-27): that writes 23 kB a chart, three quarters of
it style for effects on hovering, ids that change with every run, colours that do not follow dark
mode, no title or description for those who do not see it, and cannot scale an axis by 1 / (1 - q).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .chart import Bars, Chart
from .figures import figure
from .markup import add, element
from .scales import Linear, Logarithmic, Nines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from .chart import Axis, Line
    from .scales import Scale

COLOURS: Final = 6
"""Classes `c0` to `c5`, after which they begin again."""
TEXT: Final = 12
"""The height of a line of text; its size is in `style`."""
_CHARACTER: Final = 6.7
"""The width of a character, about."""
_MARKS: Final = 8
"""On the upright axis, at most."""
_LINE: Final = 18
_MARKED: Final = 40
"""A line of so many points or fewer has a mark at each."""


class _Box:
    """Where the axes are: the drawing without what stands around them."""

    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        self.left, self.top, self.right, self.bottom = left, top, right, bottom

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Coordinates of a place between 0.0 and 1.0 on both axes."""
        return (
            round(self.left + x * (self.right - self.left), 1),
            round(self.bottom - y * (self.bottom - self.top), 1),
        )


def draw(chart: Chart | Bars, width: int, *, suffix: str = "") -> Element:
    """An SVG element so many units wide; `suffix` sets its ids apart from those of another."""
    if isinstance(chart, Bars):
        return _draw_bars(chart, width, suffix)
    height = round(min(340, max(250, width * 0.6)))
    svg = _canvas(chart, width, height, suffix)
    legend, rows = _legend(chart.lines, width)
    x, y = _scale(chart.x, chart, 0), _scale(chart.y, chart, 1)
    y_ticks = y.ticks(_MARKS)
    left = 14 + _CHARACTER * max(len(label) for _, label in y_ticks)
    box = _Box(left, rows * _LINE + 26, width - 22, height - 42)
    add(svg, *legend, _grid(box, x, y), _labels(chart, box, width, rows))
    # What fits lies below what was measured.
    for number, line in sorted(enumerate(chart.lines), key=lambda each: each[1].kind != "fit"):
        add(svg, *_line(line, number % COLOURS, box, x, y, chart))
    return svg


def _canvas(chart: Chart | Bars, width: int, height: int, suffix: str) -> Element:
    ids = [f"{chart.name}{suffix}-{part}" for part in ("title", "description")]
    return element(
        "svg",
        element("title", chart.title, id=ids[0]),
        element("desc", chart.description, id=ids[1]),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=" ".join(ids),
        class_="chart",
    )


def _scale(axis: Axis, chart: Chart, part: int) -> Scale:
    points = [point for line in chart.lines for piece in _pieces(line.points) for point in piece]
    values = [point[part] for point in points]
    if axis.kind == "nines":
        return Nines(max((value for value in values if value < 1), default=0.9))
    if axis.kind == "logarithmic":
        return Logarithmic(values)
    return Linear(values, from_zero=axis.kind == "linear")


def _legend(lines: list[Line], width: int) -> tuple[list[Element], int]:
    """The names beside their colours, and in how many rows; none for a single line."""
    if len(lines) < 2:
        return [], 0
    found: list[Element] = []
    x, row = 14.0, 0
    for number, line in enumerate(lines):
        needed = 30 + _CHARACTER * len(line.name)
        if x + needed > width and x > 14:
            x, row = 14.0, row + 1
        y = 8 + row * _LINE
        shape = (
            element("circle", class_=f"mark c{number % COLOURS}", cx=x + 8, cy=y, r=3.5)
            if line.kind == "points"
            else element("path", class_=_class(line, number), d=f"M{x:.1f} {y}h16")
        )
        found += [shape, element("text", line.name, x=f"{x + 21:.1f}", y=y + 4)]
        x += needed + 8
    return found, row + 1


def _grid(box: _Box, x: Scale, y: Scale) -> Element:
    group = element("g", class_="grid")
    for value, label in y.ticks(_MARKS):
        left, height = box.at(0, y.place(value))
        add(
            group,
            element("path", d=f"M{left} {height}H{box.right:.1f}"),
            element("text", label, x=f"{left - 6:.1f}", y=height + 4, text_anchor="end"),
        )
    for value, label in x.ticks(max(3, int((box.right - box.left) // 62))):
        across, bottom = box.at(x.place(value), 0)
        add(
            group,
            element("path", class_="base", d=f"M{across} {bottom}v4"),
            element("text", label, x=across, y=bottom + 17, text_anchor="middle"),
        )
    add(group, element("path", class_="base", d=f"M{box.left:.1f} {box.bottom}H{box.right:.1f}"))
    return group


def _labels(chart: Chart, box: _Box, width: int, rows: int) -> Element:
    """What the axes count."""
    y = element("text", chart.y.label, x=8, y=rows * _LINE + 14)
    x = element("text", chart.x.label, x=width - 22, y=box.bottom + 36, text_anchor="end")
    return element("g", x, y, class_="axis")


def _line(
    line: Line, number: int, box: _Box, x: Scale, y: Scale, chart: Chart
) -> Iterator[Element]:
    pieces = list(_pieces(line.points))
    if line.kind != "points":
        path = "".join(
            "M" + "L".join("{} {}".format(*box.at(x.place(a), y.place(b))) for a, b in piece)
            for piece in pieces
        )
        if path:
            yield element("path", class_=_class(line, number), d=path)
    if line.kind in ("fit", "curve") or sum(map(len, pieces)) > _MARKED:
        return
    for a, b in (point for piece in pieces for point in piece):
        across, height = box.at(x.place(a), y.place(b))
        told = f"{line.name}: {figure(b)} {chart.y.label} at {figure(a)} {chart.x.label}"
        mark = element("title", told)
        yield element("circle", mark, class_=f"mark c{number}", cx=across, cy=height, r=3)


def _pieces(points: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """What lies between two gaps."""
    piece: list[tuple[float, float]] = []
    for point in points:
        if all(map(math.isfinite, point)):
            piece.append(point)
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _class(line: Line, number: int) -> str:
    return f"line c{number % COLOURS}{' fit' if line.kind == 'fit' else ''}"


def _draw_bars(chart: Bars, width: int, suffix: str) -> Element:
    svg = _canvas(chart, width, len(chart.bars) * 34 + 14, suffix)
    left = 14 + _CHARACTER * max((len(bar.name) for bar in chart.bars), default=0)
    room = width - left - 14 - _CHARACTER * 12
    greatest = max((bar.value for bar in chart.bars), default=0) or 1.0
    for number, bar in enumerate(chart.bars):
        y = 8 + number * 34
        length = max(1.0, room * max(0.0, bar.value) / greatest)
        told = f"{figure(bar.value)} {chart.unit}".rstrip()
        add(
            svg,
            element("text", bar.name, x=f"{left - 8:.1f}", y=y + 16, text_anchor="end"),
            element(
                "rect",
                class_=f"bar c{bar.colour % COLOURS}",
                x=f"{left:.1f}",
                y=y,
                width=f"{length:.1f}",
                height=24,
                rx=3,
            ),
            element("text", told, x=f"{left + length + 8:.1f}", y=y + 16),
        )
    return svg
