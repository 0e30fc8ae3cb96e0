"""What frames mean for the history: events, watermarks, and what a client should not hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tests.faults.history import Event, Fetched, Trespass, Watermark

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


def note_page(
    history: History, session: Session, fetch: tuple[str, int, int, float], page: dict[str, Any]
) -> list[Event]:
    """The answer to `fetch`: which conversation, after what, at most how many, and when asked."""
    conversation, after, limit, sent = fetch
    fetched = Fetched(
        user=session.user,
        device=session.device,
        conversation=conversation,
        after=after,
        before=None,
        limit=limit,
        sent=sent,
        answered=trio.current_time(),
        events=[event_of(item) for item in page["items"]],
        more=page["more"],
    )
    history.page(fetched)
    return fetched.events


def note_claim(history: History, user: str, conversation: str, seq: int, *, read: bool) -> None:
    """A user says up to where it has received, or read."""
    now = trio.current_time()
    history.claims.append(Watermark(now, conversation, user, seq, seq if read else 0))


def note_trespass(history: History, session: Session, request: dict[str, Any], answer: str) -> None:
    """An outsider got an answer."""
    history.trespasses.append(Trespass(session.user, request["conv"], request["t"], answer))
