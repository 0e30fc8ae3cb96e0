from __future__ import annotations

from math import inf

import pytest
from msgspec.structs import replace

from tests.faults.history import (
    Acknowledged,
    Announced,
    Attempt,
    Disruption,
    Introduced,
    Operation,
    Pushed,
    Session,
    Trespass,
    Watermark,
)
from tests.faults.scene import THREE, Scene, page_of


@pytest.fixture
def scene() -> Scene:
    """As in `test_checker`, with sessions that last, and the databases' clock 1 s behind.

    One is stored at 1 s, two at 3 s, three at 5 s; bob's second session comes at 6 s.
    """
    scene = Scene()
    scene.log[:] = [replace(event, ts=event.ts * 2000) for event in scene.log]
    one, two, three = scene.log
    scene.history.epoch = 1.0
    for operation, event in ((scene.one, one), (scene.two, two), (scene.three, three)):
        for attempt in operation.attempts:
            attempt.ts = event.ts
    scene.ana.frames = [Acknowledged(2.0, "c", one, False), Pushed(4.1, "c", two)]
    scene.bob.frames = [Pushed(2.1, "c", one), Acknowledged(4.0, "c", two, False)]
    scene.ana_again.frames = [Pushed(7.0, "c", three), Acknowledged(9.0, "c", three, True)]
    scene.history.pages = [page_of([three], after=2)]
    scene.ana.ended = scene.bob.ended = 5.0
    scene.ana_again.opened = scene.bob_again.opened = 6.0
    scene.history.claims = [
        Watermark(4.2, "c", "bob", 2, 0),
        Watermark(4.4, "c", "bob", 2, 2),
        Watermark(7.5, "c", "ana", 3, 0),
    ]
    scene.history.watermarks = [
        Watermark(4.3, "c", "bob", 2, 0),
        Watermark(6.0, "c", "bob", 2, 2, asked=5.5),
        Watermark(7.6, "c", "ana", 3, 0),
    ]
    return scene


def test_a_possible_history_has_no_violations(scene: Scene) -> None:
    assert scene.violations(patience=1.2) == []


# --- 9: nothing leaves the members ----------------------------------------------------------------


def _stranger(scene: Scene) -> Session:
    session = Session(4, "eve", "laptop", {})
    scene.history.sessions.append(session)
    return session


def test_a_stranger_who_hears_nothing_is_possible(scene: Scene) -> None:
    _stranger(scene)
    scene.history.trespasses.append(Trespass("eve", "c", "fetch", "NOT_FOUND"))
    scene.history.operations.append(
        Operation("c", "eve", "i7", "let me in", [Attempt(4, 7.0, 7.1, error="NOT_FOUND")])
    )
    assert scene.violations() == []


def test_a_stranger_who_receives_an_event_is_reported(scene: Scene) -> None:
    _stranger(scene).frames.append(Pushed(7.0, "c", THREE))
    assert scene.finds(9, "eve is no member of c, and was told: pushed")


def test_a_stranger_who_is_told_of_a_gap_is_reported(scene: Scene) -> None:
    _stranger(scene).frames.append(Announced(7.0, "c", 1, 3))
    assert scene.finds(9, "was told: announced")


def test_a_stranger_to_whom_a_conversation_is_introduced_is_reported(scene: Scene) -> None:
    _stranger(scene).frames.append(Introduced(7.0, "c", 3))
    assert scene.finds(9, "was told: introduced")


def test_a_stranger_who_finds_a_conversation_in_the_list_is_reported(scene: Scene) -> None:
    _stranger(scene).starts["c"] = 3
    assert scene.finds(9, "was told: ready")


@pytest.mark.parametrize("frame", ["receipt", "typing"])
def test_a_stranger_who_overhears_is_reported(scene: Scene, frame: str) -> None:
    _stranger(scene).overheard["c"] = frame
    assert scene.finds(9, f"was told: {frame}")


def test_a_stranger_who_reads_a_page_is_reported(scene: Scene) -> None:
    scene.history.pages.append(replace(page_of([], after=3), user="eve"))
    assert scene.finds(9, "eve is no member of c, and read a page")


@pytest.mark.parametrize("answer", ["conv", "page", "FORBIDDEN", "INTERNAL"])
def test_an_answer_that_tells_a_stranger_something_is_reported(scene: Scene, answer: str) -> None:
    scene.history.trespasses.append(Trespass("eve", "c", "info", answer))
    assert scene.finds(9, f"info was answered with {answer}")


def test_a_member_who_was_not_told_may_ask(scene: Scene) -> None:
    scene.history.trespasses.append(Trespass("bob", "c", "info", "conv"))
    assert scene.violations() == []


def test_a_message_of_a_stranger_is_reported(scene: Scene) -> None:
    scene.log[2] = replace(scene.log[2], sender="eve")
    assert scene.finds(9, "stored for somebody who is no member: c seq 3")


# --- 10: what is stored arrives soon --------------------------------------------------------------


def test_an_event_that_comes_late_is_reported(scene: Scene) -> None:
    scene.bob.frames[0] = Pushed(3.9, "c", scene.log[0])
    assert scene.finds(10, "session 1 of bob on node 0: came 2.90 s late", patience=2.8)
    assert scene.violations(patience=3.0) == []


def test_an_event_that_never_comes_to_a_session_that_lasts_is_reported(scene: Scene) -> None:
    scene.bob_again.frames = []
    assert scene.finds(10, "session 3 of bob on node 0: never came", patience=2.0)


def test_an_event_that_does_not_come_before_its_session_ends_is_not_late(scene: Scene) -> None:
    scene.bob_again.frames = []
    scene.bob_again.ended = 7.9
    assert not any(line.startswith("10: ") for line in scene.violations(patience=2.0))


def test_an_event_that_comes_late_to_who_does_not_read_is_not_late(scene: Scene) -> None:
    scene.bob.frames[0] = Pushed(3.9, "c", scene.log[0])
    scene.bob.attentive = False
    assert scene.violations(patience=1.2) == []


def test_a_gap_that_is_announced_late_is_reported(scene: Scene) -> None:
    scene.bob_again.frames = [Announced(9.5, "c", 3, 3)]
    assert scene.finds(10, "came 3.50 s late, at 6.00: c seq 3", patience=3.0)


def test_a_conversation_that_a_session_is_never_told_of_is_reported(scene: Scene) -> None:
    del scene.bob_again.starts["c"]
    scene.bob_again.frames = []
    assert scene.finds(10, "session 3 of bob on node 0: never came", patience=3.0)


def test_an_introduction_tells_of_what_lies_before_it(scene: Scene) -> None:
    del scene.bob_again.starts["c"]
    scene.bob_again.frames = [Introduced(7.0, "c", 3), Announced(7.0, "c", 3, 3)]
    assert scene.violations(patience=1.2) == []
    assert scene.finds(10, "session 3 of bob on node 0: came 1.00 s late", patience=0.9)


@pytest.mark.parametrize(
    ("start", "end", "node", "database", "excused"),
    [
        (0.5, 3.0, None, None, True),
        (0.5, 3.0, 0, 0, True),
        (1.5, 3.0, 0, None, True),  # it begins before the event was due
        (0.5, 3.0, 1, None, False),
        (0.5, 3.0, None, 1, False),
        (0.5, 1.9, None, None, False),  # it ends too early
        (2.5, 3.8, None, None, False),  # it begins too late
    ],
)
def test_only_a_disruption_of_its_own_excuses_a_late_event(
    scene: Scene, start: float, end: float, node: int | None, database: int | None, excused: bool
) -> None:
    scene.bob.frames[0] = Pushed(3.9, "c", scene.log[0])
    scene.history.disruptions = [Disruption(start=start, end=end, node=node, database=database)]
    late = any(line.startswith("10: ") for line in scene.violations(patience=1.2))
    assert late != excused


def test_disruptions_that_follow_each_other_excuse_together(scene: Scene) -> None:
    scene.bob.frames[0] = Pushed(3.9, "c", scene.log[0])
    scene.history.disruptions = [
        Disruption(start=1.5, end=2.5, node=0),
        Disruption(start=0.5, end=1.4, database=0),
        Disruption(start=2.8, end=3.0),
    ]
    assert scene.violations(patience=1.2) == []


# --- 11: watermarks -------------------------------------------------------------------------------


def test_a_watermark_that_nobody_claimed_is_reported(scene: Scene) -> None:
    scene.history.watermarks[0] = Watermark(4.3, "c", "bob", 2, 1)
    assert scene.finds(11, "c: bob never said to be at 2, 1")


def test_a_watermark_that_is_told_before_it_was_claimed_is_reported(scene: Scene) -> None:
    scene.history.watermarks[0] = Watermark(4.1, "c", "bob", 2, 0)
    assert scene.finds(11, "c: bob never said to be at 2, 0")


@pytest.mark.parametrize(("recv", "read"), [(1, 1), (2, 0)])
def test_a_watermark_that_falls_back_is_reported(scene: Scene, recv: int, read: int) -> None:
    scene.history.watermarks.append(Watermark(8.0, "c", "bob", recv, read, asked=7.0))
    assert scene.finds(11, f"c: bob fell back from 2, 2 to {recv}, {read}")


def test_an_answer_that_was_asked_for_before_the_watermark_was_known_may_be_older(
    scene: Scene,
) -> None:
    scene.history.watermarks.append(Watermark(8.0, "c", "bob", 2, 0, asked=5.9))
    assert scene.violations() == []


def test_a_receipt_that_comes_late_may_be_older(scene: Scene) -> None:
    scene.history.watermarks.append(Watermark(8.0, "c", "bob", 2, 0))
    assert scene.violations() == []


def test_who_has_read_what_was_not_received_is_reported(scene: Scene) -> None:
    scene.history.watermarks[2] = Watermark(7.6, "c", "ana", 2, 3)
    assert scene.finds(11, "c: ana is told to have read 3, but received 2")


def test_a_watermark_that_did_not_stay_is_reported(scene: Scene) -> None:
    scene.watermarks["c", "bob"] = (2, 1)
    assert scene.finds(11, "c: bob was at 2, 2, but the table says 2, 1")


@pytest.mark.parametrize("stored", [(4, 2), (2, 3)])
def test_a_watermark_beyond_what_there_is_is_reported(
    scene: Scene, stored: tuple[int, int]
) -> None:
    scene.watermarks["c", "bob"] = stored
    assert scene.finds(11, f"the table says {stored[0]}, {stored[1]}, beyond what there is")


def test_without_patience_nothing_is_late(scene: Scene) -> None:
    scene.bob.frames[0] = Pushed(4.9, "c", scene.log[0])
    scene.bob.frames[1] = Acknowledged(5.0, "c", scene.log[1], False)
    assert scene.violations(patience=inf) == []
