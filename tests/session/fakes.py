"""What a session needs of its node, as far as it can be had without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from chat4all_actors.config import Settings
from tests.actors.harness import FakeOutlet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat4all_actors.presence.presence import Attendant
    from chat4all_actors.session.services import Services


class Clock:
    """A heartbeat whose time is the test's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.hurried: list[object] = []

    def hurry(self, member: object) -> None:
        self.hurried.append(member)


class Presences:
    """Notes who is said to be away, and since when who not."""

    def __init__(self) -> None:
        self.away: list[bool] = []

    def turn(self, session: Attendant, *, away: bool) -> None:
        assert isinstance(session.over, bool)
        self.away.append(away)


class Rates:
    """Notes who is counted."""

    def __init__(self) -> None:
        self.watched: list[tuple[str, str]] = []

    def watch(self, limit: str, key: str) -> None:
        self.watched.append((limit, key))


class Surroundings:
    """The parts of a node, by the names that a session knows them by."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.heartbeat = Clock()
        self.presence = Presences()
        self.limits = Rates()
        self.epoch = 1_700_000_000.0

    @property
    def services(self) -> Services:
        parts = SimpleNamespace(
            settings=self.settings,
            heartbeat=self.heartbeat,
            presence=self.presence,
            limits=self.limits,
            wall_clock=lambda: self.epoch + self.heartbeat.now,
        )
        return cast("Services", parts)


class ByteOutlet(FakeOutlet):
    """An outlet that is given any bytes; `full` takes nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[bytes] = []
        self.backlog = 0
        """Bytes that are queued."""

    @property
    def queued(self) -> int:
        return self.backlog

    def send_nowait(self, data: bytes) -> None:
        self.passed.append(data)

    def offer(self, data: bytes, most: int) -> bool:
        if self.backlog and self.backlog + len(data) > most:
            return False
        self.passed.append(data)
        return True


def frames(data: Sequence[bytes]) -> list[Any]:
    """What frames these WebSocket messages are."""
    outlet = FakeOutlet()
    for each in data:
        outlet.send_nowait(each)
    return list(outlet.taken)
