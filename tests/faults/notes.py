"""What frames mean for the history: events, watermarks, and what a client should not hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tests.faults.history import Event, Trespass, Watermark

if TYPE_CHECKING:
    from tests.faults.history import History, Session


def event_of(frame: dict[str, Any]) -> Event:
    """The event in a `msg`."""
    return Event(frame["seq"], frame["id"], frame["from"], frame["body"]["text"], frame["ts"])


def note_ready(history: History, session: Session, ready: dict[str, Any], asked: float) -> None:
    """`ready` says where this user stands."""
    now = trio.current_time()
    for state in ready["convs"]:
        mark = Watermark(now, state["conv"], session.user, state["recv"], state["read"], asked)
        history.watermarks.append(mark)


def note_details(history: History, session: Session, conv: dict[str, Any], asked: float) -> None:
    """The answer to `info` says where everybody stands."""
    now = trio.current_time()
    for user, details in conv["details"].items():
        mark = Watermark(now, conv["conv"], user, details["recv"], details["read"], asked)
        history.watermarks.append(mark)


def note_receipt(history: History, session: Session, receipt: dict[str, Any]) -> None:
    """`receipt` says where somebody stands."""
    conversation, user = receipt["conv"], receipt["user"]
    session.overheard[conversation] = "receipt"
    mark = Watermark(trio.current_time(), conversation, user, receipt["recv"], receipt["read"])
    history.watermarks.append(mark)


def note_trespass(history: History, session: Session, request: dict[str, Any], answer: str) -> None:
    """An outsider got an answer."""
    history.trespasses.append(Trespass(session.user, request["conv"], request["t"], answer))
