from __future__ import annotations

import pytest

from chat4all_actors.session.delivery import Delivery
from chat4all_actors.session.held import Held
from chat4all_protocol.frames import Gap, Ok

from .fakes import ByteOutlet, Surroundings, frames

EVENT = bytes(600)
MOST = 4096


class Way:
    """A delivery that is live, and what came out of it."""

    def __init__(self) -> None:
        self.surroundings = Surroundings(max_outbound=MOST, slow_timeout=30)
        self.outlet = ByteOutlet()
        self.delivery = Delivery(self.surroundings.services, self.outlet)
        self.delivery.hears = True

    def fill(self, queued: int = MOST) -> None:
        """So much is queued now."""
        self.outlet.backlog = queued

    def catch_up(self) -> None:
        """The client has taken everything."""
        self.outlet.backlog = 0
        self.delivery.drained()

    @property
    def gaps(self) -> list[tuple[str, int, int]]:
        told = frames([data for data in self.outlet.passed if data != EVENT])
        return [(gap.conv, gap.from_, gap.to) for gap in told if isinstance(gap, Gap)]

    @property
    def events(self) -> int:
        return self.outlet.passed.count(EVENT)


@pytest.fixture
def way() -> Way:
    return Way()


def test_an_event_goes_out_while_there_is_room(way: Way) -> None:
    way.fill(MOST - len(EVENT))
    way.delivery.deliver("a", 1, 1, EVENT)
    way.catch_up()
    assert (way.events, way.gaps) == (1, [])


def test_nothing_is_for_a_client_that_is_not_live(way: Way) -> None:
    assert Delivery(way.surroundings.services, way.outlet).hears is False
    way.delivery.hears = False
    way.delivery.deliver("a", 1, 1, EVENT)
    assert not way.delivery.pass_on(EVENT)
    way.catch_up()
    assert way.outlet.passed == []


def test_what_does_not_fit_is_one_gap_for_each_conversation_once_the_queue_is_empty(
    way: Way,
) -> None:
    way.fill()
    way.delivery.deliver("a", 3, 4, EVENT)
    way.delivery.deliver("b", 1, 2, EVENT)
    way.delivery.deliver("a", 5, 7, EVENT)
    assert way.outlet.passed == []
    way.catch_up()
    assert way.gaps == [("a", 3, 7), ("b", 1, 2)]
    way.catch_up()
    assert way.gaps == [("a", 3, 7), ("b", 1, 2)]


def test_behind_a_hole_everything_is_missed_though_there_is_room(way: Way) -> None:
    way.fill()
    way.delivery.deliver("a", 1, 1, EVENT)
    way.fill(1)
    way.delivery.deliver("a", 2, 2, EVENT)
    way.delivery.deliver("b", 9, 9, EVENT)
    way.delivery.missed("b", 10, 12)
    way.delivery.missed("c", 5, 6)
    way.catch_up()
    assert (way.events, way.gaps) == (0, [("a", 1, 2), ("b", 9, 12), ("c", 5, 6)])
    way.delivery.deliver("a", 3, 3, EVENT)
    assert way.events == 1


def test_what_others_missed_is_told_at_once(way: Way) -> None:
    way.delivery.missed("a", 3, 5)
    assert way.gaps == [("a", 3, 5)]


def test_while_connect_is_being_answered_ready_tells_what_was_missed(way: Way) -> None:
    way.delivery.early = {}
    way.delivery.missed("a", 3, 5)
    assert way.outlet.passed == []


def test_a_hole_is_announced_before_what_follows_it_and_once(way: Way) -> None:
    way.fill()
    way.delivery.deliver("a", 1, 3, EVENT)
    way.delivery.deliver("b", 1, 1, EVENT)
    way.delivery.announce("a")
    way.delivery.announce("c")
    assert way.gaps == [("a", 1, 3)]
    way.catch_up()
    assert way.gaps == [("a", 1, 3), ("b", 1, 1)]
    way.delivery.announce("b")
    assert len(way.gaps) == 2


def test_of_a_conversation_that_is_left_no_gap_is_told(way: Way) -> None:
    way.delivery.forget("a")
    way.fill()
    way.delivery.deliver("a", 1, 3, EVENT)
    way.delivery.deliver("b", 1, 1, EVENT)
    way.delivery.forget("a")
    way.delivery.forget("c")
    way.catch_up()
    assert way.gaps == [("b", 1, 1)]


def test_events_are_held_back_while_older_ones_are_replayed(way: Way) -> None:
    way.delivery.held = held = Held(["a", "b"], MOST)
    way.delivery.deliver("a", 5, 5, EVENT)
    way.delivery.deliver("b", 5, 5, EVENT)
    way.delivery.deliver("c", 1, 1, EVENT)
    assert way.events == 1  # of the third, which replays nothing
    way.delivery.forget("b")
    assert (held.release("a"), held.release("b")) == (EVENT, b"")


def test_of_what_is_held_back_the_events_beyond_the_bound_are_one_gap(way: Way) -> None:
    way.delivery.held = held = Held(["a"], len(EVENT))
    for first, last in ((3, 5), (6, 7), (8, 9)):
        way.delivery.deliver("a", first, last, EVENT)
    assert frames([held.release("a").removeprefix(EVENT)]) == [Gap(conv="a", from_=6, to=9)]


@pytest.mark.parametrize(("queued", "sent"), [(0, True), (MOST // 2 - 1, True), (MOST // 2, False)])
def test_what_may_be_dropped_is_sent_while_less_than_half_is_queued(
    way: Way, queued: int, sent: bool
) -> None:
    way.fill(queued)
    assert way.delivery.pass_on(b"x") is sent
    way.delivery.deliver_passing(b"x")
    assert way.outlet.passed == [b"x", b"x"] * sent


def test_what_may_be_dropped_is_not_sent_behind_a_hole_or_during_a_replay(way: Way) -> None:
    way.fill()
    way.delivery.deliver("a", 1, 1, EVENT)
    way.fill(0)
    assert not way.delivery.pass_on(b"x")
    way.catch_up()
    assert way.delivery.pass_on(b"x")
    way.delivery.held = Held(["a"], MOST)
    assert not way.delivery.pass_on(b"x")


def test_answers_are_queued_however_much_is(way: Way) -> None:
    way.fill(100 * MOST)
    way.delivery.send(Ok(rid=1))
    assert frames(way.outlet.passed) == [Ok(rid=1)]


def test_a_client_is_behind_when_the_kernel_has_taken_nothing_for_too_long(way: Way) -> None:
    now = way.surroundings.heartbeat.now
    assert not way.delivery.behind(now)
    way.outlet.stalled_since = now
    assert not way.delivery.behind(now + 30)
    assert way.delivery.behind(now + 30.5)


def test_a_client_is_behind_when_a_hole_has_waited_for_too_long(way: Way) -> None:
    now = way.surroundings.heartbeat.now
    way.fill()
    way.delivery.deliver("a", 1, 1, EVENT)
    way.surroundings.heartbeat.now = now + 20
    way.delivery.deliver("a", 2, 2, EVENT)  # counts from the first
    assert not way.delivery.behind(now + 30)
    assert way.delivery.behind(now + 30.5)
    way.catch_up()
    assert not way.delivery.behind(now + 60)
