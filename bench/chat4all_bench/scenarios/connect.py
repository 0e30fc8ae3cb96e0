"""Sessions that are only there: what each costs, and how quickly they come.

Sessions connect at a rate, up to each of some plateaus; the memory of a session is the slope of the
server's PSS over them, so that what the process needs anyway does not count. The kernel's memory
for their sockets is told apart: it is the whole machine's, so both ends when the generator is on
it. Then they are held, with their heartbeats (every 25 s): `hold_cpu` is what the server uses
meanwhile. With `--rooms`, some of them are in rooms in which one member writes during the hold.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from .base import amount, latency_names, natural, positive

if TYPE_CHECKING:
    from ..dialects.base import Seat
    from ..running.outcome import Outcome
    from ..running.round import Round
    from ..targets.target import Target

HELP = "ramp up and hold N sessions: memory of each, idle CPU, connect latency"
PRIMARY = "connect"
SETTLING = 2.0
"""Seconds after which what was allocated for a moment is free again."""
HEARTBEAT = 25
"""Seconds after which a server of ours pings whoever is quiet, unless told otherwise."""
USERS = 1_000
"""Of sessions without a room: each user then has some devices."""
KIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scenario's own."""
    add = parser.add_argument_group("the sessions").add_argument
    add("--sessions", type=positive, default=5_000, metavar="N", help="in all (5000)")
    add("--users", type=positive, metavar="N", help=f"of those without a room ({USERS:,} at most)")
    add("--plateaus", type=positive, default=5, metavar="N", help="at which memory is read (5)")
    add("--hold", type=natural, default=30, metavar="S", help="seconds at the end (30)")
    rate = "connections a second: --connect-rate"
    add(
        "--rate",
        dest="connect_rate",
        type=amount,
        metavar="N",
        help=rate,
        default=argparse.SUPPRESS,
    )
    rooms = parser.add_argument_group("rooms of them").add_argument
    rooms("--rooms", type=natural, default=0, metavar="N", help="(0)")
    rooms("--room-size", type=positive, default=100, metavar="N", help="members of each (100)")
    rooms(
        "--room-rate", type=amount, default=1.0, metavar="N", help="messages a second in each (1)"
    )


def figures(options: argparse.Namespace) -> list[str]:
    """See `base.Scenario`."""
    names = ["sessions", "connect_rate", "kib_per_session", "r_squared", "kernel_kib_per_session"]
    names += ["hold_cpu", "server_mib", *latency_names("connect")]
    return [*names, "delivery_rate", *latency_names("delivery", "ack")] if options.rooms else names


def run(round_: Round, options: argparse.Namespace) -> Outcome:
    """See `base.Scenario`."""
    from ..measuring.meter import Meter
    from ..running.outcome import Outcome
    from ..targets.target import UsageError

    in_rooms = options.rooms * options.room_size
    if in_rooms > options.sessions:
        raise UsageError(f"--rooms and --room-size need {in_rooms:,} --sessions")
    seats = _seated(round_, options)
    outcome = Outcome()
    measured = round_.gathering.begin()
    memory = _Memory(round_.target)
    memory.read(0)
    connected, connecting = 0, 0.0
    for plateau in range(1, options.plateaus + 1):
        last = options.sessions * plateau // options.plateaus
        began = time.monotonic()
        connected += round_.join(seats[connected:last])
        connecting += time.monotonic() - began
        round_.sleep(SETTLING, f"{connected:,} sessions settle")
        memory.read(connected)
    outcome.add_latency("connect", measured.histogram("connect"))
    outcome.add("connect_rate", connected / connecting, "/s", "higher")
    memory.tell(outcome)
    if options.hold:
        meter = Meter(round_.target.processes)
        began = time.monotonic()
        if options.rooms:
            held = round_.load(
                "holding, with messages",
                rate=options.rooms * options.room_rate,
                seconds=options.hold,
                warm_up=0.0,
            )
            outcome.add("delivery_rate", held.delivered / held.seconds, "/s", "higher")
            outcome.add_latency("delivery", held.histogram("delivery"))
            outcome.add_latency("ack", held.histogram("ack"))
        else:
            round_.sleep(options.hold, "holding")
        spent, seconds = meter.spent(), time.monotonic() - began
        server = sum(each.cpu_seconds for each in spent if each.kind == "server")
        if spent:
            outcome.add("hold_cpu", 100 * server / seconds, "%")
        outcome.add_processes(spent, round_=round_.plan.number)
        if options.hold < HEARTBEAT:
            outcome.notes.append(
                f"It was held for {options.hold} s: heartbeats come every {HEARTBEAT} s by default."
            )
    round_.verify()
    outcome.add("sessions", round_.gathering.sessions, "", "neither")
    return outcome


def _seated(round_: Round, options: argparse.Namespace) -> list[Seat]:
    """Everybody, those in rooms first."""
    in_rooms = options.rooms * options.room_size
    seats: list[Seat] = []
    if in_rooms:
        people = round_.seating.people(in_rooms)
        size = options.room_size
        members = [people[start : start + size] for start in range(0, in_rooms, size)]
        seats += round_.seating.rooms(members, speakers=1)
    if idle := options.sessions - in_rooms:
        users = min(idle, options.users or USERS)
        seats += round_.seating.idle(round_.seating.people(users), idle)
    return seats


class _Memory:
    """The server's memory and the kernel's, over the number of sessions."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: list[tuple[float, float]] = []
        self._kernel: list[tuple[float, float]] = []

    def read(self, sessions: int) -> None:
        """Note what it is now."""
        from ..measuring.meter import memory_by_kind
        from ..measuring.proc import kernel_memory

        processes = self._target.processes()
        if processes:
            kernel = kernel_memory()
            self._server.append((sessions, memory_by_kind(processes).get("server", 0)))
            self._kernel.append((sessions, kernel.buffers + kernel.slab))

    def tell(self, outcome: Outcome) -> None:
        """Add the slopes; the server without sessions is no point of its line."""
        from ..measuring.fitting import fit
        from ..result import Curve

        if not self._server:
            return
        outcome.add("server_mib", self._server[-1][1] / KIB**2, "MiB")
        # The first sessions also fill pools and caches that all of them share.
        line, kernel = fit(self._server[1:]), fit(self._kernel)
        if line is not None:
            outcome.add("kib_per_session", line.slope / KIB, "KiB")
            outcome.add("r_squared", line.r_squared, "", "neither")
        if kernel is not None:
            outcome.add("kernel_kib_per_session", kernel.slope / KIB, "KiB")
        for name, points, found in (
            ("memory", self._server, line),
            ("kernel_memory", self._kernel, kernel),
        ):
            outcome.curves[name] = Curve(
                "sessions",
                "bytes",
                points,
                None if found is None else found.slope,
                None if found is None else found.intercept,
                None if found is None else found.r_squared,
            )
