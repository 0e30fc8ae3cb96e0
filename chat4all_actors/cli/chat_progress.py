"""A transfer as a line: how much of it is there, how fast it comes, how long it takes."""

from __future__ import annotations

from typing import Final

from .chat_text import safe_line, size_of

CELLS: Final = 20
"""Of the bar."""
STALLED: Final = 5.0
"""Seconds without a byte, after which it is said that it waits."""
NAME: Final = 32
"""Characters of a name; longer ones are cut."""


class Progress:
    """One transfer; times are in seconds of any clock."""

    def __init__(self, sign: str, name: str, now: float) -> None:
        """`sign` stands in front of it: `↑` or `↓`."""
        name = safe_line(name)
        self.name = f"{sign} {name if len(name) <= NAME else name[: NAME - 1] + '…'}"
        self._began: tuple[float, int] | None = None
        """When the first bytes were told, and how many were there before."""
        self._done = 0
        self._total = 0
        self._moved = now

    def told(self, done: int, total: int, now: float) -> None:
        """So many bytes are there."""
        if self._began is None:
            self._began = now, done
        if done != self._done:
            self._moved = now
        self._done, self._total = done, total

    def line(self, now: float) -> str:
        """How it stands."""
        if self._began is None:
            return f"{self.name}  asking the server…"
        if self._done >= self._total:
            return f"{self.name}  {_bar(1.0)}  all there, being checked…"
        share = self._done / self._total
        text = f"{self.name}  {_bar(share)} {int(100 * share):>3} % of {size_of(self._total)}"
        if now - self._moved > STALLED:
            return f"{text}, waiting for the server…"
        began, before = self._began
        rate = (self._done - before) / max(now - began, 0.001)
        if now - began < 1 or rate <= 0:
            return text
        left = _duration((self._total - self._done) / rate)
        return f"{text}, {size_of(int(rate))}/s, {left} left"


def _bar(share: float) -> str:
    full = int(share * CELLS)
    return "▕" + "█" * full + "·" * (CELLS - full) + "▏"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
