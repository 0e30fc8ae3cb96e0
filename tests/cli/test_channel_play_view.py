from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_actors.cli import channel_play_view
from chat4all_actors.cli.channel_play_view import NoSuchMessage, PlayView
from chat4all_connectors.loopback.chats import Line, SentFile

if TYPE_CHECKING:
    from chat4all_actors.cli.chat_view import Line as Shown

AT = 1_772_442_000_000  # 2026-03-02 09:00 UTC
PLAN = SentFile(ref="f", kind="image", mime="image/png", name="plan.png", size=2000)


def said(id: str, sender: str = "", text: str = "hello", **more: object) -> Line:
    return Line(id=id, sender=sender, at=AT, text=text, **more)  # type: ignore[arg-type]


@pytest.fixture
def view() -> PlayView:
    return PlayView("loopback", "ana")


def plain(lines: list[Shown]) -> list[str]:
    return ["".join(text for _, text in line) for line in lines]


def test_messages_are_numbered_as_they_come_and_named_by_number_or_id(view: PlayView) -> None:
    assert [view.shown(said("a")), view.shown(said("b")), view.shown(said("a"))] == [1, 2, 1]
    assert (view.named("2").id, view.named("b").id) == ("b", "b")
    for name in ("3", "0", "c", "²", ""):
        with pytest.raises(NoSuchMessage, match="there is no message"):
            view.named(name)


def test_a_message_that_was_taken_back_is_not_there_and_its_number_stays_taken(
    view: PlayView,
) -> None:
    view.shown(said("a"))
    assert (view.gone("a"), view.gone("b")) == (1, None)
    assert view.line(1) == "1 (deleted)"
    with pytest.raises(NoSuchMessage):
        view.named("1")
    assert view.shown(said("c")) == 2


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (said("x"), "2 09:00 loopback: hello"),
        (said("x", "ana", "two\nlines"), "2 09:00 ana: two↵lines"),
        (said("x", edited=True), "2 09:00 loopback: hello (edited)"),
        (
            said("x", reactions={"": "👍", "ana": "❤"}),
            "2 09:00 loopback: hello · 👍 loopback · ❤ ana",
        ),
        (said("x", text="look", file=PLAN), "2 09:00 loopback: [image: plan.png, 2.0 kB] look"),
        (said("x", text="", file=PLAN), "2 09:00 loopback: [image: plan.png, 2.0 kB]"),
        (said("x", reply_to="first"), "2 09:00 loopback: (to 1 “the first one”) hello"),
        (said("x", reply_to="lost"), "2 09:00 loopback: (in reply) hello"),
        (said("x", text="\x1b[31mred"), "2 09:00 loopback: ␛[31mred"),
    ],
)
def test_a_message_is_a_line_with_all_that_belongs_to_it(
    view: PlayView, message: Line, line: str
) -> None:
    view.shown(said("first", "ana", "the first one"))
    assert view.line(view.shown(message)) == line


def test_on_a_screen_lines_are_wrapped_under_their_day(view: PlayView) -> None:
    view.shown(said("a", text="a text that is too long for one line"))
    view.shown(said("b", "ana", "mine", read=True))
    view.notice("something is to be said", AT)
    view.shown(said("c"))
    view.gone("c")
    assert plain(view.lines(40)) == [
        "───────── Monday, 2 March 2026 ─────────",
        "  1 09:00 loopback: a text that is too",
        "                    long for one line",
        "  2 09:00 ana: mine ✓",
        "      something is to be said",
        "  3 (deleted)",
    ]


def test_only_so_much_is_kept(view: PlayView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_play_view, "KEPT", 2)
    view.shown(said("a"))
    view.notice("a notice", AT)
    view.shown(said("b"))
    view.shown(said("c"))
    assert plain(view.lines(40))[1:] == ["  2 09:00 loopback: hello", "  3 09:00 loopback: hello"]
    with pytest.raises(NoSuchMessage):
        view.named("1")
