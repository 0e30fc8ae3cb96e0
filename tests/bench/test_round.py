"""Rounds against a server that has the faults that are asked for."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from chat4all_bench.running.progress import Live
from chat4all_bench.running.round import Plan, Round
from chat4all_bench.targets.target import SetupError

from .fake_chat import FakeChat, fake_chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_bench.dialects.base import Seat

    from .fake_chat import Fault

pytestmark = pytest.mark.xdist_group("bench-rounds")

PATIENCE = 0.3
"""Seconds after which what has not come is lost."""


def plan(generators: int | None = None) -> Plan:
    return Plan(
        number=1,
        seed=7,
        generators=generators,
        seconds=0.5,
        warm_up=0.0,
        connect_rate=1000.0,
        text_bytes=40,
    )


@contextmanager
def a_round(target: FakeChat, generators: int | None = None) -> Iterator[Round]:
    round_ = Round(plan(generators), target, Live(io.StringIO()))
    try:
        yield round_
    finally:
        round_.close()


def seated(round_: Round, rooms: int = 2, size: int = 3, speakers: int = 2) -> list[Seat]:
    people = round_.seating.people(rooms * size)
    members = [people[n * size : (n + 1) * size] for n in range(rooms)]
    return round_.seating.rooms(members, speakers=speakers)


def talked(fault: Fault, *, rooms: int = 1) -> Round:
    with fake_chat(fault) as target, a_round(target) as round_:
        round_.join(seated(round_, rooms=rooms))
        round_.load("talk", rate=40, patience=PATIENCE)
        round_.verify(patience=PATIENCE)
        return round_


def test_an_open_loop_writes_each_message_and_everybody_else_gets_it_once() -> None:
    with fake_chat() as target, a_round(target) as round_:
        assert round_.join(seated(round_)) == 6
        measured = round_.load("talk", rate=40)
        found = round_.verify()
    assert (found.sent, found.acknowledged, found.delivered) == (20, 20, 40)
    assert found.whole
    assert not found.errors
    assert measured.histogram("ack").count == 20
    assert measured.histogram("delivery").count == 40


def test_several_processes_share_a_load_and_a_large_room() -> None:
    with fake_chat() as target, a_round(target, generators=2) as round_:
        seats = seated(round_, rooms=1, size=100, speakers=4)
        assert round_.join(seats) == 100
        measured = round_.load("talk", rate=40, track_last=True)
        found = round_.verify()
        assert round_.generators == 2
    assert (found.sent, found.delivered, found.whole) == (20, 20 * 99, True)
    assert measured.reached(99).count == 20


def test_a_closed_loop_keeps_its_window_under_way() -> None:
    with fake_chat() as target, a_round(target) as round_:
        round_.join(seated(round_))
        measured = round_.load("talk", window=3, seconds=0.2)
        found = round_.verify()
    assert found.sent > 4 * 3
    assert found.whole
    assert measured.acknowledged <= found.acknowledged == found.sent


@pytest.mark.parametrize(
    ("fault", "lost", "doubled", "reordered"),
    [("drop", 2, 0, 0), ("double", 0, 2, 0), ("late", 0, 0, 2)],
)
def test_what_is_lost_doubled_or_out_of_order_is_counted_for_each_reader(
    fault: str, lost: int, doubled: int, reordered: int
) -> None:
    found = talked(lambda number: fault if number == 5 else "").integrity
    assert (found.lost, found.doubled, found.reordered) == (lost, doubled, reordered)


def test_a_refused_message_is_an_error_and_not_lost() -> None:
    found = talked(lambda number: "refuse" if number == 5 else "").integrity
    assert (found.whole, found.errors) == (True, {"refused": 1})


def test_a_message_that_is_never_answered_is_lost_and_the_end_of_its_connection_told() -> None:
    found = talked(lambda number: "close" if number == 19 else "").integrity
    assert found.lost >= 1
    assert found.errors["closed with 4000"] == 1


def test_who_comes_back_gets_what_was_missed() -> None:
    with fake_chat() as target, a_round(target) as round_:
        seats = seated(round_, rooms=1, size=4, speakers=1)
        round_.join(seats)
        round_.load("before", rate=40, seconds=0.1)
        readers = [seat for seat in seats if seat.speaker < 0]
        round_.leave(readers)
        round_.load("meanwhile", rate=40, seconds=0.1)
        back = round_.end_return(round_.begin_return(readers, rate=1000))
        found = round_.verify()
    assert (back.ready, back.failed) == (3, 0)
    assert (found.sent, found.delivered, found.whole) == (8, 24, True)


def test_who_does_not_read_gets_everything_once_it_reads_on() -> None:
    with fake_chat() as target, a_round(target) as round_:
        seats = seated(round_, rooms=1)
        round_.join(seats)
        round_.stall(seats[2:], reading=False)
        round_.load("stalled", rate=40)
        before = round_.gathering.delivered
        round_.stall(seats[2:], reading=True)
        found = round_.verify()
    assert before == 20
    assert (found.delivered, found.whole) == (40, True)


def test_a_server_that_takes_nobody_is_told() -> None:
    target = FakeChat(lambda _: "")
    target.ports = [1]
    with a_round(target) as round_, pytest.raises(SetupError, match="no connection: ECONNREFUSED"):
        round_.join(seated(round_))


def test_nobody_to_write_is_told() -> None:
    with fake_chat() as target, a_round(target) as round_:
        seats = seated(round_, speakers=0)
        round_.join(seats)
        with pytest.raises(SetupError, match="nobody is there to write"):
            round_.load("talk", rate=1)
