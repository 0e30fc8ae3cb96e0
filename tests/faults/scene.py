"""A small history, to break by hand."""

from __future__ import annotations

from math import inf

from tests.faults.checker import check
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

ONE = Event(1, "i1", "ana", "one", 1)
TWO = Event(2, "i2", "bob", "two", 2)
THREE = Event(3, "i3", "ana", "three", 3)


class Scene:
    """Ana writes one and three, bob writes two; she retries three, he fetches it."""

    def __init__(self) -> None:
        self.one = Operation("c", "ana", "i1", "one", [Attempt(0, 1.0, 2.0, 1, 1)])
        self.two = Operation("c", "bob", "i2", "two", [Attempt(1, 3.0, 4.0, 2, 2)])
        self.three = Operation(
            "c", "ana", "i3", "three", [Attempt(0, 5.0), Attempt(2, 8.0, 9.0, 3, 3, dup=True)]
        )
        self.refused = Operation("c", "ana", "i4", "no", [Attempt(2, 10.0, 11.0, error="NO")])
        self.ana = Session(
            0,
            "ana",
            "laptop",
            {"c": 0},
            [Acknowledged(2.0, "c", ONE, False), Pushed(4.1, "c", TWO)],
        )
        self.bob = Session(
            1,
            "bob",
            "laptop",
            {"c": 0},
            [Pushed(2.1, "c", ONE), Acknowledged(4.0, "c", TWO, False)],
        )
        self.ana_again = Session(
            2,
            "ana",
            "laptop",
            {"c": 2},
            [Pushed(7.0, "c", THREE), Acknowledged(9.0, "c", THREE, True)],
        )
        self.bob_again = Session(3, "bob", "laptop", {"c": 2}, [Announced(7.0, "c", 3, 3)])
        self.history = History()
        self.history.operations = [self.one, self.two, self.three, self.refused]
        self.history.sessions = [self.ana, self.bob, self.ana_again, self.bob_again]
        self.history.pages = [page_of([THREE], after=2)]
        self.log = [ONE, TWO, THREE]
        self.heads = {"c": 3}
        self.watermarks = {("c", "ana"): (3, 0), ("c", "bob"): (2, 2)}
        self.homes = {"c": 0}
        self.read_back: dict[str, list[Event]] | None = None

    def violations(self, patience: float = inf) -> list[str]:
        """What the checker finds."""
        members = {"c": ["ana", "bob"]}
        tables = Tables({"c": self.log}, self.heads, members, self.watermarks, self.homes)
        read_back = {"c": self.log} if self.read_back is None else self.read_back
        return check(self.history, tables, read_back, patience=patience)

    def finds(self, rule: int, words: str, patience: float = inf) -> bool:
        """Whether it finds this, whatever else it finds."""
        found = self.violations(patience)
        assert found
        return any(line.startswith(f"{rule}: ") and words in line for line in found)


def page_of(
    events: list[Event],
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    more: bool = False,
    sent: float = 8.0,
) -> Fetched:
    """A page that bob read."""
    return Fetched(
        user="bob",
        device="laptop",
        conversation="c",
        after=after,
        before=before,
        limit=limit,
        sent=sent,
        answered=sent + 1,
        events=events,
        more=more,
    )
