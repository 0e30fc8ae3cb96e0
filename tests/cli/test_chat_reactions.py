from __future__ import annotations

import itertools

import pytest

from chat4all_actors.cli.chat_reactions import Reactions, wanted
from chat4all_actors.cli.chat_view import View
from chat4all_protocol import frames as f
from tests.cli.test_chat_view import AT, CONV, event_id, said, shown


def reacted(seq: int, sender: str, target: int, emoji: str = "👍", *, on: bool = True) -> f.Msg:
    meta = {"emoji": emoji, "on": on}
    return f.Msg(CONV, seq, event_id(seq), sender, AT, None, "react", target=target, meta=meta)


def test_reactions_stand_behind_the_message_alike_ones_counted() -> None:
    view = View("ana", "group")
    view.happened(said(1, "bob", "lunch?"))
    view.happened(said(2, "bob", "at noon?"))
    for event in (
        reacted(3, "carla", 1, "🎉"),
        reacted(4, "ana", 1),
        reacted(5, "bob", 1),
        reacted(6, "ana", 2, "❤"),
        reacted(7, "ana", 2, "❤", on=False),
    ):
        view.happened(event)
    assert shown(view) == ["11:15 bob: lunch? [🎉 👍 2]", "11:15 bob: at noon?"]


def test_what_came_before_the_message_is_shown_with_it() -> None:
    """History is loaded backwards."""
    view = View("ana", "bob")
    view.happened(reacted(2, "bob", 1))
    view.happened(said(1, "ana", "hello"))
    assert shown(view) == ["11:15 ana: hello [👍] ✓"]


def test_the_last_event_counts_in_whichever_order_they_come() -> None:
    events = [reacted(2, "bob", 1), reacted(3, "bob", 1, on=False), reacted(4, "bob", 1)]
    for order in itertools.permutations(events):
        reactions = Reactions()
        for event in order:
            reactions.happened(event)
        assert reactions.stands(1, "bob", "👍")
        assert reactions.shown(1) == "👍"


def test_a_deleted_message_shows_none_and_an_edited_one_keeps_them() -> None:
    view = View("ana", "bob")
    for seq in (1, 2):
        view.happened(said(seq, "bob", "hi"))
    view.happened(f.Msg(CONV, 3, event_id(3), "bob", AT, None, deleted=True))
    for target in (1, 2, 3):
        view.happened(reacted(3 + target, "bob", target))
    view.happened(f.Msg(CONV, 7, event_id(7), "bob", AT, None, "delete", target=1))
    view.happened(f.Msg(CONV, 8, event_id(8), "bob", AT, f.TextBody("ho"), "edit", target=2))
    assert shown(view) == [
        "11:15 bob: (deleted)",
        "11:15 bob: ho (edited) [👍]",
        "11:15 bob: (deleted)",
    ]


@pytest.mark.parametrize("meta", [None, {}, {"emoji": 7, "on": True}, {"emoji": "👍"}])
def test_one_that_says_nothing_any_more_is_not_shown(meta: dict[str, object] | None) -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "hi"))
    view.happened(f.Msg(CONV, 2, event_id(2), "bob", AT, None, "react", target=1, meta=meta))
    assert shown(view) == ["11:15 bob: hi"]


def test_what_others_chose_is_made_safe() -> None:
    reactions = Reactions()
    reactions.happened(reacted(2, "bob", 1, "\x1b[2J"))
    assert reactions.shown(1) == "␛[2J"


def test_messages_are_counted_from_the_last_one_up() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "one"))
    view.happened(said(2, "ana", "two"))
    view.happened(reacted(3, "bob", 2))
    view.happened(f.Msg(CONV, 4, event_id(4), "bob", AT, f.MemberBody("eve"), "join"))
    view.happened(said(5, "bob", "gone"))
    view.happened(f.Msg(CONV, 6, event_id(6), "bob", AT, None, "delete", target=5))
    view.notice("careful", AT)
    assert [view.message(number) for number in (1, 2, 3)] == [2, 1, None]


def test_an_own_reaction_is_known_so_that_the_same_again_takes_it_back() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "one"))
    view.happened(reacted(2, "bob", 1))
    assert not view.reacted(1, "👍")
    view.happened(reacted(3, "ana", 1))
    assert view.reacted(1, "👍")
    assert not view.reacted(1, "🎉")
    view.happened(reacted(4, "ana", 1, on=False))
    assert not view.reacted(1, "👍")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("👍", (1, "👍")),
        (" 3  👍 ", (3, "👍")),
        ("2 1", (2, "1")),
        ("", None),
        ("3", None),
        ("0 👍", None),
        ("1 👍 🎉", None),
        ("x 👍", None),
        ("9999999999 👍", None),
    ],
)
def test_a_reaction_is_asked_for_by_number_and_emoji(
    arguments: str, asked: tuple[int, str] | None
) -> None:
    assert wanted(arguments) == asked
