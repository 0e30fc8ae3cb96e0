"""What a session costs while nothing happens on it."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest

from .served import Client, ServedNode, opened, served_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.xdist_group("gates")  # they count what is in the whole process

MAX_TRACKED: Final = 60
"""Objects that the collector knows of a session: a full collection costs 0.12 ms per 1,000, which
nobody is served in. trio-websocket alone has 118 a connection."""
MAX_BYTES: Final = 8 * 1024
"""User space of a session and its actor: 100,000 take less than a GiB."""
MAX_TASKS: Final = 1
"""A task each is 1.7 KiB; a reader, a writer and a channel would be 10."""
WARM_UP: Final = 100
"""Sessions before the first look, which fill what all of them share."""
SESSIONS: Final = 200
HEARTS: Final = 50
ROUNDS: Final = 3
HEARTBEAT: Final = 30
"""Seconds in which every session is asked once whether it lives."""
FORGET: Final = 12
"""Seconds after which trio has forgotten the time limits of the opening handshake."""


@pytest.fixture
def server() -> Iterator[ServedNode]:
    with served_node() as server:
        yield server


def slope(server: ServedNode, measure: Callable[[], int]) -> float:
    """What each further session adds to `measure`."""

    def look() -> int:
        server.wait(FORGET)
        gc.collect()
        return measure()

    descriptors = server.connect_idle(WARM_UP)
    with opened(descriptors):
        before = look()
        more = server.connect_idle(SESSIONS)
        with opened(more):
            return (look() - before) / SESSIONS


def test_the_collector_knows_at_most_sixty_objects_of_a_session(server: ServedNode) -> None:
    assert slope(server, lambda: len(gc.get_objects())) <= MAX_TRACKED


def test_a_session_takes_at_most_eight_kibibytes(server: ServedNode) -> None:
    tracemalloc.start()
    try:
        assert slope(server, lambda: tracemalloc.get_traced_memory()[0]) <= MAX_BYTES
    finally:
        tracemalloc.stop()


def test_a_heartbeat_is_one_call_to_send_and_one_to_receive(server: ServedNode) -> None:
    clients = [Client(server, f"user {number}") for number in range(HEARTS)]
    for _ in range(ROUNDS):
        with server.counting() as calls:
            server.wait(HEARTBEAT)
            for client in clients:
                client.answer_ping()
        assert [calls.sends(client) for client in clients] == [1] * HEARTS
        assert [calls.receives(client) for client in clients] == [1] * HEARTS
    for client in clients:
        client.close()


def test_a_session_has_at_most_one_task(server: ServedNode) -> None:
    assert slope(server, server.tasks) <= MAX_TASKS
