"""Types of events, who wants which, and their ids."""

from __future__ import annotations

import itertools

import pytest

from chat4all_actors.webhooks.events import (
    OF_KINDS,
    PATTERNS,
    TYPES,
    Event,
    wanted,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import KINDS


def test_every_kind_of_a_log_has_a_type_of_its_own() -> None:
    assert set(OF_KINDS) == set(KINDS)
    assert len(set(OF_KINDS.values())) == len(KINDS)


@pytest.mark.parametrize("type_", TYPES)
def test_a_type_is_wanted_by_its_name_its_group_and_the_star(type_: str) -> None:
    group = type_.partition(".")[0]
    for pattern in PATTERNS:
        fits = pattern in (type_, f"{group}.*") or (pattern == "*" and group != "presence")
        assert (type_ in wanted([pattern])) == fits


def test_what_is_no_pattern_wants_nothing() -> None:
    assert wanted(["message", "message.", "*.created", "nothing.*", "message.lost"]) == set()
    assert wanted(["*", "presence.*"]) == set(TYPES)


def test_an_id_is_that_of_the_event_and_of_no_other() -> None:
    one, two = new_id(), new_id()
    events = [
        Event(type_, key, seq, at=1, user=user)
        for type_, key, seq, user in itertools.product(TYPES, (one, two), (1, 11), (None, "a", "b"))
    ]
    assert len({event.id for event in events}) == len(events)
    later = Event(TYPES[0], one, 1, at=2)
    assert later.id == Event(TYPES[0], one, 1, at=1).id
    assert all(event.id.startswith("evt_") and "." not in event.id for event in events)
