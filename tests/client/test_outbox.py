from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_client import SendRefused
from chat4all_client.outbox import Entry, Outbox
from chat4all_protocol import frames as f
from tests.client.model import CONV, conversation_id

if TYPE_CHECKING:
    from chat4all_client import ClientError

ELSEWHERE = conversation_id(1)


class Box:
    """An outbox, and the answers it passed on."""

    def __init__(self, pipeline: int = 1) -> None:
        self.outbox = Outbox(pipeline=pipeline, random=lambda: 1.0)
        self.answers: list[f.Sent | ClientError] = []

    def put(self, number: int, conv: str = CONV) -> Entry:
        frame = f.Send(rid=0, conv=conv, id=conversation_id(number), body=f.TextBody("x"))
        entry = Entry(frame, self.answers.append)
        self.outbox.add(entry)
        return entry

    def take_all(self, now: float = 0.0) -> list[Entry]:
        taken = []
        while (entry := self.outbox.take(now)) is not None:
            taken.append(entry)
        return taken

    def answer(self, entry: Entry, now: float = 0.0) -> None:
        self.outbox.sent(f.Sent(1, entry.conv, entry.id, 1, 0, dup=False), now)


def temporary(wait: int | None, code: str = "UNAVAILABLE") -> f.Error:
    return f.Error(code, "later", temporary=True, retry_after_ms=wait)


def test_a_conversation_has_one_message_on_the_wire_and_others_do_not_wait_for_it() -> None:
    box = Box()
    first, second, other = box.put(1), box.put(2), box.put(3, ELSEWHERE)
    assert box.take_all() == [first, other]
    assert box.outbox.on_wire == 2
    box.answer(first)
    assert box.take_all() == [second]


def test_a_pipeline_has_several_on_the_wire() -> None:
    box = Box(pipeline=2)
    first, second, third = box.put(1), box.put(2), box.put(3)
    assert box.take_all() == [first, second]
    box.answer(second)
    assert box.take_all() == [third]


def test_after_a_refusal_a_pipeline_goes_on_one_at_a_time_until_it_is_answered() -> None:
    box = Box(pipeline=3)
    entries = [box.put(number) for number in range(1, 6)]
    assert box.take_all() == entries[:3]
    box.outbox.refused(entries[0], temporary(1000), now=0)
    assert box.take_all(2) == []  # two that follow it are still on the wire
    box.answer(entries[1], 2)
    box.answer(entries[2], 2)
    assert box.take_all(2) == [entries[0]]
    box.answer(entries[0], 2)
    assert box.take_all(2) == entries[3:]


@pytest.mark.parametrize(("wait", "seconds"), [(3000, 3.0), (None, 0.5), (0, 0.0)])
def test_a_message_refused_for_a_time_waits_as_told_or_backs_off(
    wait: int | None, seconds: float
) -> None:
    box = Box()
    entry = box.put(1)
    box.take_all()
    box.outbox.refused(entry, temporary(wait), now=10)
    assert box.outbox.next_time() == (10 + seconds if seconds else 0)
    assert box.take_all(10 + seconds - 0.01) == ([] if seconds else [entry])
    if seconds:
        assert box.take_all(10 + seconds) == [entry]


def test_the_backoff_grows_with_each_refusal() -> None:
    box = Box()
    entry = box.put(1)
    now, waits = 0.0, []
    for _ in range(4):
        assert box.take_all(now) == [entry]
        box.outbox.refused(entry, temporary(None), now)
        waits.append(box.outbox.next_time() - now)
        now = box.outbox.next_time()
    assert waits == [0.5, 1, 2, 4]


def test_a_rate_limit_pauses_everything() -> None:
    box = Box()
    first, other = box.put(1), box.put(2, ELSEWHERE)
    assert box.outbox.take(0) is first
    box.outbox.refused(first, temporary(1000, "RATE_LIMITED"), now=0)
    assert box.take_all(0.9) == []
    assert box.outbox.next_time() == 1
    assert box.take_all(1) == [other, first]


def test_a_permanent_refusal_lets_the_next_one_go() -> None:
    box = Box()
    first, second = box.put(1), box.put(2)
    box.take_all()
    box.outbox.refused(first, f.Error("FORBIDDEN", "no", temporary=False, field="conv"), now=0)
    (answer,) = box.answers
    assert isinstance(answer, SendRefused)
    assert (answer.code, answer.message, answer.field) == ("FORBIDDEN", "no", "conv")
    assert box.take_all() == [second]


def test_a_lost_connection_puts_everything_back_in_order() -> None:
    box = Box(pipeline=2)
    entries = [box.put(number) for number in range(1, 4)]
    box.take_all()
    box.outbox.disconnected(0)
    assert box.outbox.on_wire == 0
    assert box.take_all() == entries[:2]


def test_an_answer_to_an_earlier_attempt_counts_and_a_second_answer_does_not() -> None:
    box = Box()
    entry = box.put(1)
    box.take_all()
    box.outbox.unanswered(entry, 10)
    box.answer(entry)
    assert box.outbox.sent(f.Sent(2, CONV, entry.id, 1, 0, dup=True), 0) is None
    assert len(box.answers) == 1
    assert len(box.outbox) == 0


def test_nothing_that_comes_for_a_later_attempt_undoes_an_answer() -> None:
    box = Box()
    entry = box.put(1)
    box.take_all()
    box.outbox.unanswered(entry, 10)
    box.take_all(10)
    box.answer(entry, 11)
    box.outbox.refused(entry, f.Error("NOT_FOUND", "no", temporary=False), now=12)
    box.outbox.unanswered(entry, 20)
    assert len(box.answers) == 1
    assert box.outbox.on_wire == 0
    assert box.outbox.next_time() == float("inf")


def test_the_frame_goes_out_as_it_was_but_for_its_rid() -> None:
    entry = Box().put(1)
    assert entry.with_rid(7) == f.Send(rid=7, conv=CONV, id=entry.id, body=f.TextBody("x"))
