"""What senders are told of what is not passed."""

from __future__ import annotations

import pytest

from chat4all_actors.conversation.answering import lose, tell
from chat4all_actors.fanout import LocalReaders
from chat4all_actors.messages import Committed, HoleDue, Post
from chat4all_storage.log.entries import Answer, Entry, Refused
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Append, Outcome, Status

from .scene import Session, again, stored


def post(sender: Session, id_: str = "id", subject: str | None = None) -> Post:
    return Post(Append("room", sender.user, id_, "message", b"", 0, subject=subject), 1, sender)


def committed(*answers: tuple[Post, Answer]) -> Committed:
    return Committed(
        [(Entry(each.append, lambda _: None, each), answer) for each, answer in answers]
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (stored(3), ("sent", 3)),
        (again(3), ("repeated", 3)),
        (Outcome(Status.NOT_MEMBER), ("refused", "NOT_FOUND")),
        (Outcome(Status.CONFLICT, 3), ("refused", "CONFLICT")),
        (Refused(Unavailable("gone")), ("refused", "UNAVAILABLE")),
        (Refused(Rejected("a defect")), ("refused", "INTERNAL")),
    ],
)
def test_the_sender_is_told_the_answer(answer: Answer, told: object) -> None:
    ana = Session("ana")
    tell(post(ana), answer)
    assert ana.lately() == [told]


def test_each_who_waits_in_vain_is_told_once() -> None:
    ana, bob = Session("ana"), Session("bob")
    early, sent, answered = post(ana, "early"), post(bob, "sent"), post(bob, "answered")
    refused = post(ana, "refused")
    message = committed(
        (early, stored(1)), (answered, stored(2)), (refused, Refused(Unavailable("gone")))
    )
    lose([early], [sent, HoleDue(), message, message], LocalReaders())
    assert ana.lately() == [("lost", "early"), ("lost", "refused")]
    assert bob.lately() == [("lost", "answered"), ("lost", "sent")]


def test_sessions_of_whom_a_stored_event_is_about_connect_again() -> None:
    ana, carla, dave = Session("ana"), Session("carla"), Session("dave")
    local = LocalReaders()
    for session in (ana, carla, dave):
        local.add(session)
    about_carla, about_dave = post(ana, "c", "carla"), post(ana, "d", "dave")
    lose([], [committed((about_carla, stored(1)), (about_dave, Refused(Unavailable(""))))], local)
    assert carla.lately() == ["closed"]
    assert dave.lately() == []
    lose([about_dave], [], local)
    assert dave.lately() == ["closed"]
