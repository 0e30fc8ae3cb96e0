"""One round of a run: its clients, and what they are made to do."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .dialects.base import Seat
from .generator import header
from .generator.plan import Done, Join, Joined, Load, Loaded, Rejoin, Setup, Stall, Verified, Verify
from .measured import Gathering, Measured
from .meter import Meter
from .pool import Pool
from .proc import GENERATOR, Known
from .result import Integrity
from .target import Room, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .generator.plan import Command, Progress
    from .progress import Live
    from .target import Person, Target

PER_PROCESS: Final = 15_000
"""Connections of one process of the generator: most systems allow it 20,000 descriptors."""
SPREAD: Final = 64
"""Members from which on those of a room are spread over the processes."""
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


class Round:
    """See the module's docstring. `close` it."""

    def __init__(self, plan: Plan, target: Target, live: Live) -> None:
        self.plan = plan
        self.target = target
        self.began = time.monotonic()
        self.gathering = Gathering(self.began)
        self.integrity = Integrity()
        self._live = live
        self._pool: Pool | None = None
        self._doing = "setting up"
        self._home: dict[int, int] = {}
        self._seats: list[Seat] = []
        self._rooms: dict[int, int] = {}
        """How many clients each room has."""
        self._people = 0
        self._written: dict[int, list[int]] = {}
        self._refused: dict[int, list[tuple[int, int]]] = {}
        self._unanswered = 0
        self.late_ms = 0.0
        self.busy = 0.0

    @property
    def generators(self) -> int:
        """Processes of the generator."""
        return 0 if self._pool is None else len(self._pool)

    # --- who takes part -----------------------------------------------------------------------

    def people(self, count: int) -> list[Person]:
        """So many users that have not been in this round yet."""
        self._live.say(f"{count:,} users are made")
        first, self._people = self._people, self._people + count
        prefix = f"b{self.plan.seed % 0xFFFFFF:x}r{self.plan.number}"
        return self.target.people([f"{prefix}-{n}" for n in range(first, first + count)])

    def rooms(self, members: Sequence[Sequence[Person]], *, speakers: int) -> list[Seat]:
        """A client for each member of rooms that are opened; the first `speakers` of each write."""
        self._live.say(f"{len(members):,} rooms are opened")
        names = self.target.rooms([Room(each) for each in members])
        seats: list[Seat] = []
        for name, people in zip(names, members, strict=True):
            number = len(self._rooms)
            self._rooms[number] = len(people)
            writing = min(speakers, len(people))
            self._written[number] = [0] * writing
            for place, person in enumerate(people):
                seats.append(
                    Seat(
                        number=len(self._seats),
                        user=person.name,
                        token=person.token,
                        device="bench",
                        room=name,
                        room_number=number,
                        speaker=place if place < writing else -1,
                        speakers=writing,
                    )
                )
                self._seats.append(seats[-1])
        return seats

    def idle(self, people: Sequence[Person], count: int) -> list[Seat]:
        """So many clients without a room: each person has several devices when they are fewer."""
        first = len(self._seats)
        for number in range(first, first + count):
            person = people[(number - first) % len(people)]
            self._seats.append(Seat(number, person.name, person.token, f"device-{number}"))
        return self._seats[first:]

    # --- what they do -------------------------------------------------------------------------

    def join(
        self, seats: Sequence[Seat], *, rate: float | None = None, small_buffers: bool = False
    ) -> int:
        """Connect clients; how many are ready.

        Raises:
            SetupError: none of them is.
        """
        self._doing = f"{len(seats):,} clients connect"
        pool = self._started()
        shares: dict[int, list[Seat]] = {}
        for seat in seats:
            self._home[seat.number] = home = self._place(seat, len(pool))
            shares.setdefault(home, []).append(seat)
        whole = rate or self.plan.connect_rate
        commands: dict[int, Command] = {
            home: Join(pool.next_id(), share, whole * len(share) / len(seats), small_buffers)
            for home, share in shares.items()
        }
        ready = sum(each.ready for each in pool.wait(pool.tell(commands), Joined))
        if not ready and seats:
            why = max(self.gathering.errors, key=self.gathering.errors.__getitem__, default="?")
            raise SetupError(f"none of {len(seats)} clients could connect: {why}")
        return ready

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

        `at`: what to do meanwhile, by seconds from when measuring begins, in their order.
        """
        self._doing = doing
        pool = self._started()
        writing = [s for s in speakers or self._seats if s.speaker >= 0 and s.number in self._home]
        shares: dict[int, list[int]] = {}
        for seat in writing:
            shares.setdefault(self._home[seat.number], []).append(seat.number)
        if not shares:
            raise SetupError("nobody is there to write a message")
        start = time.monotonic() + LEAD
        measure_from = start + (self.plan.warm_up if warm_up is None else warm_up)
        until = measure_from + (self.plan.seconds if seconds is None else seconds)
        commands: dict[int, Command] = {}
        for place, (home, numbers) in enumerate(sorted(shares.items())):
            share = rate * len(numbers) / len(writing)
            # The processes' messages fall in between each other's.
            offset = place / len(shares) / share if share else 0.0
            commands[home] = Load(
                pool.next_id(),
                share,
                window,
                start + offset,
                measure_from,
                until,
                numbers if speakers is not None else None,
                track_last,
                self.plan.seed * 1009 + self.plan.number * 31 + home,
                patience,
            )
        measured = self.gathering.begin()
        measured.seconds = until - measure_from
        meters: list[Meter] = []

        def begin() -> None:
            meters.append(Meter(self._processes))

        def end() -> None:
            for spent in meters[0].spent():
                if spent.kind == GENERATOR:
                    busy = spent.cpu_seconds / measured.seconds
                    measured.generator_busy = max(measured.generator_busy, busy)
                else:
                    measured.spent.append(spent)

        meanwhile = [(measure_from + after, do) for after, do in at]
        events = sorted([(measure_from, begin), (until, end), *meanwhile], key=lambda e: e[0])
        self._note(pool.wait(pool.tell(commands), Loaded, at=events))
        self.late_ms = max(self.late_ms, measured.histogram("late").quantile_ms(0.99))
        self.busy = max(self.busy, measured.generator_busy)
        return measured

    def begin_rejoin(
        self, seats: Sequence[Seat], *, rate: float, leave_at: float, at: float
    ) -> list[int]:
        """Let clients leave and come back; what to `end_rejoin` with."""
        pool = self._started()
        shares: dict[int, list[int]] = {}
        for seat in seats:
            shares.setdefault(self._home[seat.number], []).append(seat.number)
        return pool.tell(
            {
                home: Rejoin(
                    pool.next_id(), numbers, rate * len(numbers) / len(seats), leave_at, at
                )
                for home, numbers in shares.items()
            }
        )

    def end_rejoin(self, ids: Iterable[int]) -> int:
        """Wait until they are back; how many are."""
        return sum(each.ready for each in self._started().wait(ids, Joined))

    def stall(self, seats: Sequence[Seat], *, reading: bool) -> None:
        """Let clients stop to read, or go on."""
        pool = self._started()
        shares: dict[int, list[int]] = {}
        for seat in seats:
            shares.setdefault(self._home[seat.number], []).append(seat.number)
        commands: dict[int, Command] = {
            home: Stall(pool.next_id(), numbers, reading) for home, numbers in shares.items()
        }
        pool.wait(pool.tell(commands), Done)

    def sleep(self, seconds: float, doing: str) -> None:
        """Let time pass."""
        self._doing = doing
        self._started().sleep_until(time.monotonic() + seconds)

    def verify(self, *, patience: float = 10.0) -> Integrity:
        """Wait for what is still to come, and see whether everybody has everything, in order."""
        self._doing = "what is missing"
        pool = self._started()
        commands: dict[int, Command] = {
            place: Verify(pool.next_id(), self._written, self._refused, patience)
            for place in range(len(pool))
        }
        found = pool.wait(pool.tell(commands), Verified)
        gathering, integrity = self.gathering, self.integrity
        integrity.sent = gathering.written
        integrity.acknowledged = gathering.acknowledged
        integrity.delivered = gathering.delivered
        integrity.lost = self._unanswered + sum(each.lost for each in found)
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
        """The generator; it is as large as the clients need that are known when it is started."""
        if self._pool is None:
            plan, target = self.plan, self.target
            count = plan.generators or max(1, math.ceil(len(self._seats) / PER_PROCESS))
            self._pool = pool = Pool(count, self._heard)
            local = target.host.startswith("127.") or target.host == "localhost"
            pool.wait(
                pool.tell(
                    {
                        place: Setup(
                            id=pool.next_id(),
                            dialect=target.dialect,
                            host=target.host,
                            port=target.port,
                            source=f"127.0.0.{2 + place % 250}" if local else None,
                            tag=header.tag_of(plan.seed, plan.number),
                            text_bytes=plan.text_bytes,
                        )
                        for place in range(count)
                    }
                ),
                Done,
            )
        return self._pool

    def _place(self, seat: Seat, processes: int) -> int:
        if seat.room_number >= 0 and self._rooms[seat.room_number] < SPREAD:
            return seat.room_number % processes
        return seat.number % processes

    def _processes(self) -> list[Known]:
        pids = [] if self._pool is None else self._pool.pids
        return [*self.target.processes(), *(Known(GENERATOR, pid) for pid in pids)]

    def _note(self, loaded: Iterable[Loaded]) -> None:
        unanswered = 0
        for each in loaded:
            for room, speaker, written, missing, refused in each.speakers:
                self._written[room][speaker] = written
                unanswered += missing
                known = [e for e in self._refused.get(room, []) if e[0] != speaker]
                self._refused[room] = known + [(speaker, number) for number in refused]
        self._unanswered = unanswered

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


def shuffled(seats: Sequence[Seat], seed: int) -> list[Seat]:
    """In an order that only the seed decides."""
    found = list(seats)
    random.Random(seed).shuffle(found)
    return found
