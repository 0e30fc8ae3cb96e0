"""Histories as a correct server makes them, from a random generator: the checker accepts them all.

A model of clients, connections that break, and a log: nothing of it is the server's code.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tests.faults.history import (
    Acknowledged,
    Announced,
    Attempt,
    Event,
    Fetched,
    History,
    Operation,
    Pushed,
    Session,
    Tables,
)

if TYPE_CHECKING:
    import random

REPLAYED = 3
"""Missed events that are pushed; more are announced as a gap."""


class Device(Struct, eq=False):
    """A client and its connection."""

    user: str
    name: str
    held: dict[str, int]
    session: Session | None = None
    requests: deque[tuple[Operation, Attempt]] = field(default_factory=deque)
    """On their way to the server."""
    frames: deque[tuple[str, Event | tuple[int, int], Operation | None, Attempt | None, bool]] = (
        field(default_factory=deque)
    )
    """On their way to the client."""
    waiting: list[Operation] = field(default_factory=list)
    """Not answered yet."""
    missing: dict[str, int] = field(default_factory=dict)
    """Up to where gaps were announced."""


class World:
    """The model; `history()` ends it well."""

    def __init__(self, rng: random.Random, rooms: dict[str, list[str]]) -> None:
        self.rng = rng
        self.rooms = rooms
        self.made = History()
        self.logs: dict[str, list[Event]] = {room: [] for room in rooms}
        self.now = 0.0
        users = sorted({user for users in rooms.values() for user in users})
        places = [(user, "laptop") for user in users] + [(users[0], "phone")]
        self.devices = [
            Device(user, name, {room: 0 for room in rooms if user in rooms[room]})
            for user, name in places
        ]

    def history(self, steps: int) -> tuple[History, Tables]:
        """So many random steps, then everything heals."""
        actions = [self.write, self.write, self.process, self.process, self.receive, self.receive]
        actions += [self.receive, self.connect, self.cut, self.retry]
        for _ in range(steps):
            self.rng.choice(actions)(self.rng.choice(self.devices))
        for device in self.devices:
            self.cut(device)
        for device in self.devices:
            self.connect(device)
            while device.waiting:
                self.retry(device)
                self.settle()
        self.settle()
        heads = {room: len(log) for room, log in self.logs.items()}
        return self.made, Tables(self.logs, heads, self.rooms)

    def settle(self) -> None:
        """Everything on its way arrives."""
        for device in self.devices:
            while device.requests:
                self.process(device)
        for device in self.devices:
            while device.frames or device.missing:
                self.receive(device)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    # --- what a client does -------------------------------------------------------------------

    def write(self, device: Device) -> None:
        room = self.rng.choice(list(device.held))
        number = len(self.made.operations)
        operation = Operation(room, device.user, f"id{number}", f"text {number}")
        if device.session is not None:
            self.made.operations.append(operation)
            device.waiting.append(operation)
            self.send(device, operation)

    def send(self, device: Device, operation: Operation) -> None:
        assert device.session is not None
        attempt = Attempt(device.session.number, self.tick())
        operation.attempts.append(attempt)
        device.requests.append((operation, attempt))

    def retry(self, device: Device) -> None:
        if device.session is not None and device.waiting:
            self.send(device, self.rng.choice(device.waiting))

    def connect(self, device: Device) -> None:
        if device.session is not None:
            return
        number = len(self.made.sessions)
        device.session = Session(number, device.user, device.name, dict(device.held))
        self.made.sessions.append(device.session)
        for room, held in device.held.items():
            log = self.logs[room]
            if len(log) - held > REPLAYED:
                device.frames.append((room, (held + 1, len(log)), None, None, False))
            else:
                device.frames.extend((room, event, None, None, False) for event in log[held:])

    def cut(self, device: Device) -> None:
        for _ in range(self.rng.randint(0, len(device.requests))):
            self.process(device)
        device.session = None
        device.requests.clear()
        device.frames.clear()
        device.missing.clear()

    def receive(self, device: Device) -> None:
        if device.session is None:
            return
        if device.missing and (not device.frames or self.rng.random() < 0.5):
            self.fetch(device)
            return
        if not device.frames:
            return
        room, what, operation, attempt, dup = device.frames.popleft()
        at = self.tick()
        if isinstance(what, tuple):
            device.session.frames.append(Announced(at, room, *what))
            device.missing[room] = what[1]
            return
        if operation is None or attempt is None:
            device.session.frames.append(Pushed(at, room, what))
        else:
            device.session.frames.append(Acknowledged(at, room, what, dup))
            attempt.answered, attempt.seq, attempt.ts, attempt.dup = at, what.seq, what.ts, dup
            if operation in device.waiting:
                device.waiting.remove(operation)
        if room not in device.missing:
            device.held[room] = max(device.held[room], what.seq)

    def fetch(self, device: Device) -> None:
        """Read what was announced as missing; what came after it meanwhile is in the page too."""
        (room, upto), limit = device.missing.popitem(), self.rng.randint(1, 5)
        while device.held[room] < upto:
            after, sent = device.held[room], self.tick()
            events = self.logs[room][after : after + limit]
            more = after + limit < len(self.logs[room])
            self.made.pages.append(
                Fetched(
                    user=device.user,
                    device=device.name,
                    conversation=room,
                    after=after,
                    before=None,
                    limit=limit,
                    sent=sent,
                    answered=self.tick(),
                    events=events,
                    more=more,
                )
            )
            device.held[room] = events[-1].seq
        seen = [f.event.seq for f in _events(device.session, room) if f.event.seq > upto]
        device.held[room] = max([device.held[room], *seen])

    # --- what the server does -----------------------------------------------------------------

    def process(self, device: Device) -> None:
        """Store the next request of a device and tell everybody, or answer a retry."""
        if not device.requests:
            return
        operation, attempt = device.requests.popleft()
        room, log = operation.conversation, self.logs[operation.conversation]
        for event in log:
            if (event.sender, event.id) == (operation.sender, operation.id):
                device.frames.append((room, event, operation, attempt, True))
                return
        if self.rng.random() < 0.1:
            attempt.answered, attempt.error = self.tick(), "UNAVAILABLE"
            return
        event = Event(len(log) + 1, operation.id, operation.sender, operation.text, int(self.now))
        log.append(event)
        for other in self.devices:
            if other.session is not None and room in other.held:
                own = (operation, attempt) if other is device else (None, None)
                other.frames.append((room, event, *own, False))


def _events(session: Session | None, room: str) -> list[Pushed | Acknowledged]:
    frames = [] if session is None else session.frames
    return [f for f in frames if isinstance(f, Pushed | Acknowledged) and f.conversation == room]
