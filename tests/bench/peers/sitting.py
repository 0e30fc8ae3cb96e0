"""A client as dialects see it."""

from __future__ import annotations

from msgspec import Struct

from chat4all_bench.dialects.base import Seat


class Sitting(Struct):
    seat: Seat
    position: int = 0
    stage: int = 0


def sitting(number: int = 7, room: str = "room", speaker: int = 0) -> Sitting:
    seat = Seat(number, f"user-{number}", "", "bench", room, 0, speaker, 2)
    return Sitting(seat)
