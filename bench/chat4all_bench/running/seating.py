"""Who takes part in a round: people, the rooms they are in, and which process plays them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from ..dialects.base import Seat
from ..targets.target import Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..targets.target import Person, Target
    from .progress import Live

SPREAD: Final = 64
"""Members from which on those of a room are spread over the processes of the generator."""


class Seating:
    """Everybody of a round, in the order in which they were seated."""

    def __init__(self, target: Target, live: Live, *, seed: int, round_: int) -> None:
        self._target = target
        self._live = live
        self._prefix = f"b{seed % 0xFFFFFF:x}r{round_}"
        self._people = 0
        self._sizes: list[int] = []
        """Of each room."""
        self.seats: list[Seat] = []
        self.speakers: list[int] = []
        """Of each room, how many write."""

    def people(self, count: int) -> list[Person]:
        """So many users that have not been in this round yet.

        Raises:
            SetupError: they can't be made.
        """
        self._live.say(f"{count:,} users are made")
        first, self._people = self._people, self._people + count
        names = [f"{self._prefix}-{number}" for number in range(first, first + count)]
        return self._target.people(names)

    def rooms(
        self, members: Sequence[Sequence[Person]], *, speakers: int, nodes: Sequence[int] = (0,)
    ) -> list[Seat]:
        """A client for each member of rooms that are opened; the first `speakers` of each write.

        The members of a room connect to these nodes in turn.

        Raises:
            SetupError: the rooms can't be opened.
        """
        self._live.say(f"{len(members):,} rooms are opened")
        names = self._target.rooms([Room(each) for each in members])
        first = len(self.seats)
        for name, people in zip(names, members, strict=True):
            number = len(self._sizes)
            writing = min(speakers, len(people))
            self._sizes.append(len(people))
            self.speakers.append(writing)
            for place, person in enumerate(people):
                self.seats.append(
                    Seat(
                        number=len(self.seats),
                        user=person.name,
                        token=person.token,
                        device="bench",
                        room=name,
                        room_number=number,
                        speaker=place if place < writing else -1,
                        speakers=writing,
                        node=nodes[place % len(nodes)],
                    )
                )
        return self.seats[first:]

    def idle(self, people: Sequence[Person], count: int) -> list[Seat]:
        """So many clients without a room: each person has several devices when they are fewer."""
        first = len(self.seats)
        for number in range(first, first + count):
            person = people[(number - first) % len(people)]
            self.seats.append(Seat(number, person.name, person.token, f"device-{number}"))
        return self.seats[first:]

    def home(self, seat: Seat, processes: int) -> int:
        """The process that plays a client: one for all of a small room."""
        small = seat.room_number >= 0 and self._sizes[seat.room_number] < SPREAD
        return (seat.room_number if small else seat.number) % processes


def shuffled(seats: Sequence[Seat], seed: int) -> list[Seat]:
    """In an order that only the seed decides."""
    found = list(seats)
    random.Random(seed).shuffle(found)
    return found
