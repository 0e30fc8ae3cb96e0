"""What a process of the generator has done and measured since it last told."""

from __future__ import annotations

import time
from typing import Final

from ..histogram import Histogram
from .plan import Last, Progress

NEVER: Final = 1 << 62


class Tally:
    """Counts; `take` tells them and begins anew. Times are whole microseconds."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.measure_from = NEVER
        self.measure_until = NEVER
        """Messages that are due in between are measured."""
        self.track_last = False
        """Whether it is found out when all members have a message."""
        self._await: dict[tuple[int, int, int], int] = {}
        self._began()

    def _began(self) -> None:
        self.written = self.acknowledged = self.delivered = 0
        self._acknowledged_in = self._delivered_in = 0
        self.errors: dict[str, int] = {}
        self._ack, self._delivery, self._late = Histogram(), Histogram(), Histogram()
        self._connect, self._resume = Histogram(), Histogram()
        self._last: list[Last] = []

    def write(self, due: int, now: int) -> None:
        """Note a message that is being sent."""
        self.written += 1
        if self.measure_from <= due < self.measure_until:
            self._late.add_us(now - due)

    def acknowledge(self, due: int, now: int) -> None:
        """Note an answer."""
        self.acknowledged += 1
        if self.measure_from <= now < self.measure_until:
            self._acknowledged_in += 1
        if self.measure_from <= due < self.measure_until:
            self._ack.add_us(now - due)

    def deliver(self, due: int, now: int) -> None:
        """Note a message that has come to one of its readers."""
        self.delivered += 1
        if self.measure_from <= now < self.measure_until:
            self._delivered_in += 1
        if self.measure_from <= due < self.measure_until:
            self._delivery.add_us(now - due)

    def reached(self, message: tuple[int, int, int], readers: int, due: int, now: int) -> None:
        """Note that one more of the `readers` here has a message: (room, speaker, number)."""
        if not self.measure_from <= due < self.measure_until:
            return
        missing = self._await.get(message, readers) - 1
        if missing:
            self._await[message] = missing
            return
        self._await.pop(message, None)
        self._last.append(Last(*message, readers, (now - due) / 1e6))

    def connect(self, took: float, *, again: bool) -> None:
        """Note a client that is ready after so many seconds: for the first time, or again."""
        (self._resume if again else self._connect).add(took)

    def error(self, what: str) -> None:
        """Note that something went wrong."""
        self.errors[what] = self.errors.get(what, 0) + 1

    def take(self, connected: int) -> Progress:
        """What there was since the last time."""
        histograms = {
            "ack": self._ack,
            "delivery": self._delivery,
            "late": self._late,
            "connect": self._connect,
            "resume": self._resume,
        }
        told = Progress(
            self._number,
            time.monotonic(),
            time.process_time(),
            connected,
            self.written,
            self.acknowledged,
            self.delivered,
            (self._acknowledged_in, self._delivered_in),
            {name: each for name, each in histograms.items() if each.buckets},
            self.errors,
            self._last,
        )
        self._began()
        return told
