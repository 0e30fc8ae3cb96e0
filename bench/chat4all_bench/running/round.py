"""One round of a run: what its clients are made to do, and whether all messages came."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ..generator import header
from ..generator.plan import (
    Done,
    Join,
    Joined,
    Leave,
    Load,
    Loaded,
    Rejoin,
    Setup,
    Stall,
    Verified,
    Verify,
)
from ..measuring.meter import Meter, seconds_of
from ..measuring.proc import GENERATOR, Known
from ..result import Integrity
from ..targets.target import SetupError
from .measured import Gathering, Measured
from .pool import Pool
from .seating import Seating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..dialects.base import Seat
    from ..generator.plan import Command, Progress
    from ..targets.target import Target
    from .progress import Live

PER_PROCESS: Final = 15_000
"""Connections of one process of the generator: most systems allow it 20,000 descriptors."""
LEAD: Final = 0.3
"""Seconds between telling the processes of a load and its beginning."""


class Plan(Struct, frozen=True):
    """How a round is carried out, whatever its scenario."""

    number: int
    """1, 2, 3, …"""
    seed: int
    generators: int | None
    """Processes; None: as many as the connections need."""
    seconds: float
    warm_up: float
    connect_rate: float
    """Connections a second, of all processes together."""
    text_bytes: int


class Return(Struct, frozen=True):
    """Clients that have come back."""

    ready: int
    failed: int
    at: float
    """When the last of them was ready, by the monotonic clock."""


class Round:
    """See the module's docstring. `close` it."""

    def __init__(self, plan: Plan, target: Target, live: Live) -> None:
        self.plan = plan
        self.target = target
        self.seating = Seating(target, live, seed=plan.seed, round_=plan.number)
        self.began = time.monotonic()
        self.gathering = Gathering(self.began)
        self.integrity = Integrity()
        self.gaps = 0
        """Events that the server announced it would not push; they were fetched."""
        self.late_ms = 0.0
        self.busy = 0.0
        self._live = live
        self._doing = ""
        self._pool: Pool | None = None
        self._home: dict[int, int] = {}
        """The process of each client that has been connected."""
        self._written: dict[tuple[int, int], int] = {}
        self._unanswered: dict[tuple[int, int], int] = {}
        self._refused: dict[tuple[int, int], list[int]] = {}
        """By (room, speaker)."""

    @property
    def generators(self) -> int:
        """Processes of the generator."""
        return 0 if self._pool is None else len(self._pool)

    # --- connections --------------------------------------------------------------------------

    def join(
        self, seats: Sequence[Seat], *, rate: float | None = None, small_buffers: bool = False
    ) -> int:
        """Connect clients; how many are ready.

        Raises:
            SetupError: none of them is.
        """
        self._doing = f"{len(seats):,} clients connect"
        pool = self._started()
        for seat in seats:
            self._home[seat.number] = self.seating.home(seat, len(pool))
        whole = rate or self.plan.connect_rate
        began = time.monotonic()
        before = [seconds_of(pid) for pid in pool.pids]
        ids = pool.tell(
            {
                home: Join(pool.next_id(), share, whole * len(share) / len(seats), small_buffers)
                for home, share in self._shares(seats).items()
            }
        )
        ready = sum(each.ready for each in pool.wait(ids, Joined))
        used = [seconds_of(pid) - then for pid, then in zip(pool.pids, before, strict=True)]
        self.busy = max(self.busy, *(each / (time.monotonic() - began) for each in used))
        if not ready and seats:
            errors = self.gathering.errors
            why = max(errors, key=errors.__getitem__, default="they are not ready")
            raise SetupError(f"none of {len(seats)} clients could connect: {why}")
        return ready

    def leave(self, seats: Sequence[Seat]) -> None:
        """Let clients disconnect, each as soon as it has the answers that it waits for."""
        pool = self._started()
        ids = pool.tell(
            {
                home: Leave(pool.next_id(), [seat.number for seat in share])
                for home, share in self._shares(seats).items()
            }
        )
        pool.wait(ids, Done)

    def begin_return(self, seats: Sequence[Seat], *, rate: float) -> list[int]:
        """Let clients that leave come back from now on; what to `end_return` with."""
        pool = self._started()
        return pool.tell(
            {
                home: Rejoin(
                    pool.next_id(),
                    [seat.number for seat in share],
                    rate * len(share) / len(seats),
                )
                for home, share in self._shares(seats).items()
            }
        )

    def end_return(self, ids: Iterable[int]) -> Return:
        """Wait until they are back."""
        self._doing = "clients come back"
        found = self._started().wait(ids, Joined)
        return Return(
            sum(each.ready for each in found),
            sum(each.failed for each in found),
            max(each.at for each in found),
        )

    def stall(self, seats: Sequence[Seat], *, reading: bool) -> None:
        """Let clients stop to read, or go on."""
        pool = self._started()
        ids = pool.tell(
            {
                home: Stall(pool.next_id(), [seat.number for seat in share], reading)
                for home, share in self._shares(seats).items()
            }
        )
        pool.wait(ids, Done)

    # --- messages -----------------------------------------------------------------------------

    def load(
        self,
        doing: str,
        *,
        rate: float = 0.0,
        window: int = 0,
        seconds: float | None = None,
        warm_up: float | None = None,
        speakers: Sequence[Seat] | None = None,
        track_last: bool = False,
        patience: float = 10.0,
        at: Sequence[tuple[float, Callable[[], None]]] = (),
    ) -> Measured:
        """Let clients write: `rate` a second over all of them, or each `window` at once.

        `at`: what to do meanwhile, by seconds from when measuring begins. `patience`: seconds
        without anything new after which answers are given up.
        """
        self._doing = doing
        pool = self._started()
        writing = self.seating.seats if speakers is None else speakers
        writing = [s for s in writing if s.speaker >= 0 and s.number in self._home]
        if not writing:
            raise SetupError("nobody is there to write a message")
        start = time.monotonic() + LEAD
        measure_from = start + (self.plan.warm_up if warm_up is None else warm_up)
        until = measure_from + (self.plan.seconds if seconds is None else seconds)
        shares = self._shares(writing)
        commands: dict[int, Command] = {}
        for place, (home, share) in enumerate(sorted(shares.items())):
            their_rate = rate * len(share) / len(writing)
            # The processes' messages fall in between each other's.
            offset = place / len(shares) / their_rate if their_rate else 0.0
            commands[home] = Load(
                id=pool.next_id(),
                rate=their_rate,
                window=window,
                start=start + offset,
                measure_from=measure_from,
                until=until,
                speakers=[seat.number for seat in share],
                track_last=track_last,
                order=self.plan.seed * 1009 + self.plan.number * 31 + home,
                patience=patience,
            )
        measured = self.gathering.begin()
        measured.seconds = until - measure_from
        meters: list[Meter] = []
        events: list[tuple[float, Callable[[], None]]] = [
            (measure_from, lambda: meters.append(Meter(self._processes))),
            (until, lambda: measured.charge(meters[0].spent())),
            *((measure_from + after, do) for after, do in at),
        ]
        events.sort(key=lambda event: event[0])
        self._note(pool.wait(pool.tell(commands), Loaded, at=events))
        self.late_ms = max(self.late_ms, measured.histogram("late").quantile_ms(0.99))
        self.busy = max(self.busy, measured.generator_busy)
        return measured

    def sleep(self, seconds: float, doing: str) -> None:
        """Let time pass."""
        self._doing = doing
        self._started().sleep_until(time.monotonic() + seconds)

    def verify(self, *, patience: float = 10.0) -> Integrity:
        """Wait for what is still to come, and see whether everybody has everything, in order.

        `patience`: seconds without anything new after which the rest is lost.
        """
        self._doing = "is anything missing?"
        pool = self._started()
        written = {
            room: [self._written.get((room, speaker), 0) for speaker in range(speakers)]
            for room, speakers in enumerate(self.seating.speakers)
        }
        refused: dict[int, list[tuple[int, int]]] = {}
        for (room, speaker), numbers in self._refused.items():
            refused.setdefault(room, []).extend((speaker, number) for number in numbers)
        ids = pool.tell(
            {
                place: Verify(pool.next_id(), written, refused, patience)
                for place in range(len(pool))
            }
        )
        found = pool.wait(ids, Verified)
        self.gaps = sum(each.gaps for each in found)
        gathering, integrity = self.gathering, self.integrity
        integrity.sent = gathering.written
        integrity.acknowledged = gathering.acknowledged
        integrity.delivered = gathering.delivered
        integrity.lost = sum(self._unanswered.values()) + sum(each.lost for each in found)
        integrity.doubled = sum(each.doubled for each in found)
        integrity.reordered = sum(each.reordered for each in found)
        integrity.errors = dict(gathering.errors)
        return integrity

    def close(self) -> None:
        """End the generator."""
        self._live.clear()
        if self._pool is not None:
            self._pool.close()

    # --- inside -------------------------------------------------------------------------------

    def _started(self) -> Pool:
        """The generator; it is as large as the clients need that are seated when it is started."""
        if self._pool is None:
            plan, target = self.plan, self.target
            clients = len(self.seating.seats)
            count = plan.generators or max(1, math.ceil(clients / PER_PROCESS))
            self._pool = pool = Pool(count, self._heard)
            local = target.host.startswith("127.")
            ids = pool.tell(
                {
                    place: Setup(
                        id=pool.next_id(),
                        dialect=target.dialect,
                        host=target.host,
                        ports=list(target.ports),
                        source=f"127.0.0.{2 + place % 250}" if local else None,
                        tag=header.tag_of(plan.seed, plan.number),
                        text_bytes=plan.text_bytes,
                    )
                    for place in range(count)
                }
            )
            pool.wait(ids, Done)
        return self._pool

    def _shares(self, seats: Iterable[Seat]) -> dict[int, list[Seat]]:
        """Clients by their process."""
        shares: dict[int, list[Seat]] = {}
        for seat in seats:
            shares.setdefault(self._home[seat.number], []).append(seat)
        return shares

    def _processes(self) -> list[Known]:
        pids = [] if self._pool is None else self._pool.pids
        return [*self.target.processes(), *(Known(GENERATOR, pid) for pid in pids)]

    def _note(self, loaded: Iterable[Loaded]) -> None:
        for each in loaded:
            for room, speaker, written, unanswered, refused in each.speakers:
                self._written[room, speaker] = written
                self._unanswered[room, speaker] = unanswered
                self._refused[room, speaker] = refused

    def _heard(self, told: Progress) -> None:
        gathering = self.gathering
        gathering.hear(told)
        second = gathering.latest
        self._live.say(
            f"{self._doing}  {time.monotonic() - self.began:.0f} s"
            f"  sessions {gathering.sessions:,}  {second.acknowledged:,}/s"
            f"  p99 {second.latency.quantile_ms(0.99):.1f} ms",
            errors=sum(gathering.errors.values()),
        )
