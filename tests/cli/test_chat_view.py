from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from chat4all_actors.cli.chat_view import View, wrap
from chat4all_protocol import frames as f

CONV = "00000000-0000-4000-8000-000000000000"
AT = 1_772_450_100_000  # 2026-03-02 11:15 UTC
DAY = 24 * 3600 * 1000


def event_id(seq: int) -> str:
    return f"{seq:08x}-0000-4000-8000-000000000000"


def said(seq: int, sender: str, text: str, ts: int = AT) -> f.Msg:
    return f.Msg(CONV, seq, event_id(seq), sender, ts, f.TextBody(text))


def shown(view: View, width: int = 60) -> list[str]:
    """The lines, without the one that tells the date."""
    return ["".join(text for _, text in line) for line in view.lines(width)][1:]


def test_messages_stand_in_the_order_of_the_log_however_they_come() -> None:
    view = View("ana", "bob")
    for seq in (3, 1, 2, 3):
        view.happened(said(seq, "bob", f"number {seq}"))
    assert shown(view) == [f"11:15 bob: number {seq}" for seq in (1, 2, 3)]
    assert view.first == 1


def test_an_own_message_goes_from_queued_to_sent_to_delivered_to_read_in_its_place() -> None:
    view = View("ana", "bob")
    view.queued(event_id(1), "hello", AT)
    assert shown(view) == ["11:15 ana: hello …"]
    assert view.waiting == 1
    view.happened(said(1, "ana", "hello"))
    assert shown(view) == ["11:15 ana: hello ✓"]
    assert view.waiting == 0
    view.receipt(f.Receipt(CONV, "bob", 1, 0))
    assert shown(view) == ["11:15 ana: hello ✓✓"]
    assert ("class:mark", " ✓✓") in view.lines(60)[1]
    view.receipt(f.Receipt(CONV, "bob", 1, 1))
    assert ("class:read", " ✓✓") in view.lines(60)[1]


def test_without_colours_read_is_a_word() -> None:
    view = View("ana", "bob", colour=False)
    view.happened(said(1, "ana", "hello"))
    view.receipt(f.Receipt(CONV, "bob", 1, 1))
    assert shown(view) == ["11:15 ana: hello ✓✓ read"]


def test_marks_only_grow_and_read_implies_received() -> None:
    view = View("ana", "bob")
    view.happened(said(2, "ana", "hello"))
    view.receipt(f.Receipt(CONV, "bob", 0, 2))
    view.receipt(f.Receipt(CONV, "bob", 1, 1))
    assert ("class:read", " ✓✓") in view.lines(60)[1]


def test_in_a_group_the_slowest_member_counts_and_oneself_does_not() -> None:
    view = View("ana", "group")
    view.happened(said(1, "ana", "hello"))
    view.members({"ana": f.Member("owner", 0, 0), "bob": f.Member("member", 1, 1)})
    assert ("class:read", " ✓✓") in view.lines(60)[1]
    view.members({"eve": f.Member("member", 0, 0)})
    assert shown(view) == ["11:15 ana: hello ✓"]


def test_a_refused_message_says_why() -> None:
    view = View("ana", "bob")
    view.queued(event_id(1), "hello", AT)
    view.failed(event_id(1), "too long")
    assert shown(view) == ["11:15 ana: hello ✗ too long"]
    assert view.waiting == 0


def test_each_day_begins_with_its_date() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "today"))
    view.happened(said(2, "bob", "tomorrow", AT + DAY))
    lines = ["".join(text for _, text in line) for line in view.lines(60)]
    assert lines[0].strip("─") == " Monday, 2 March 2026 "
    assert lines[2].strip("─") == " Tuesday, 3 March 2026 "


def test_what_is_new_is_marked_once_before_the_first_message_of_others() -> None:
    view = View("ana", "bob")
    for seq, sender in enumerate(("bob", "ana", "bob", "bob"), 1):
        view.happened(said(seq, sender, str(seq)))
    view.unread_after(1)
    assert [line.strip("─") for line in shown(view)] == [
        "11:15 bob: 1",
        "11:15 ana: 2 ✓",
        " new ",
        "11:15 bob: 3",
        "11:15 bob: 4",
    ]


def test_notices_stay_where_they_were_said() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "one"))
    view.notice("careful", AT)
    view.happened(said(2, "bob", "two"))
    assert shown(view) == ["11:15 bob: one", "11:15 careful", "11:15 bob: two"]


def test_edits_and_deletions_change_the_message_they_are_about() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "helo"))
    view.happened(said(2, "bob", "secret"))
    edit = f.Msg(CONV, 3, event_id(3), "bob", AT, f.TextBody("hello"), kind="edit", target=1)
    view.happened(edit)
    view.happened(f.Msg(CONV, 4, event_id(4), "bob", AT, None, kind="delete", target=2))
    view.happened(f.Msg(CONV, 5, event_id(5), "bob", AT, f.MemberBody("eve"), kind="join"))
    assert shown(view) == ["11:15 bob: hello (edited)", "11:15 bob: (deleted)", "11:15 eve joined"]


def test_names_and_texts_of_others_are_made_safe_and_long_names_cut() -> None:
    view = View("ana", "\x1b[2Jtitle")
    view.happened(said(1, "b\x1b[1m", "\x1b[31mred"))
    view.happened(said(2, "an-extremely-long-name", "hi"))
    assert view.title == "␛[2Jtitle"
    assert shown(view) == ["11:15 b␛[1m: ␛[31mred", "11:15 an-extremely-lo…: hi"]


def test_a_name_keeps_its_colour() -> None:
    view = View("ana", "group")
    for seq in (1, 2):
        view.happened(said(seq, "bob", "x"))
    first, second = view.lines(60)[1:]
    assert first[1] == second[1]
    assert first[1][0].startswith("class:name")


def test_long_texts_are_wrapped_under_themselves_and_the_mark_keeps_its_place() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "ana", "one two three four five"))
    assert shown(view, 24) == [
        "11:15 ana: one two three",
        "           four five ✓",
    ]
    view.happened(said(2, "ana", "123456789012 2"))
    assert shown(view, 24)[-2:] == ["11:15 ana: 123456789012", "           2 ✓"]
    view.happened(said(3, "ana", "1234567890123"))
    assert shown(view, 24)[-2:] == ["11:15 ana: 1234567890123", "           ✓"]


def test_lines_are_made_anew_only_when_something_changed() -> None:
    view = View("ana", "bob")
    view.happened(said(1, "bob", "one"))
    lines = view.lines(60)
    assert view.lines(60) is lines
    assert view.lines(61) is not lines
    view.happened(said(2, "bob", "two"))
    assert len(view.lines(61)) == 3


def test_typing_is_shown_until_its_time_is_over_or_the_message_comes() -> None:
    view = View("ana", "group")
    for user in ("ana", "bob"):
        view.composing(f.Composing(CONV, user, "text", 6000), now=0)
    assert view.typing(5.9) == "bob is typing…"
    view.composing(f.Composing(CONV, "eve", "text", 6000), now=1)
    assert view.typing(2) == "bob and eve are typing…"
    view.composing(f.Composing(CONV, "carl", "text", 6000), now=1)
    assert view.typing(2) == "3 people are typing…"
    view.happened(said(1, "eve", "hi"))
    assert view.typing(6.5) == "carl is typing…"
    assert view.typing(7) == ""


@given(st.text(alphabet="ab 漢é👍\n", max_size=200), st.integers(4, 30))
def test_no_row_is_wider_than_it_may_be_and_no_character_is_lost(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(get_cwidth(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_it_tells_whether_the_other_is_there() -> None:
    view = View("ana", "bob")
    assert view.present() == ""
    view.presence(f.Presence("ana", "online"))
    assert view.present() == ""
    view.presence(f.Presence("bob", "away"))
    assert view.present() == "away"
    view.presence(f.Presence("bob", "offline"))
    assert view.present() == "offline"
    view.presence(f.Presence("bob", "offline", AT))
    assert view.present() == "last seen Monday, 2 March 2026 11:15"
    view.presence(f.Presence("carla", "online"))
    assert view.present() == "1 of 2 others here"


def carries(seq: int, file_id: str, name: str, *, target: int | None = None) -> f.Msg:
    body = f.FileBody(file_id, "look", name, 1500)
    kind: f.Kind = "edit" if target else "message"
    return f.Msg(CONV, seq, event_id(seq), "bob", AT, body, kind, target=target)


def test_files_are_numbered_as_they_come_to_be_shown_and_keep_their_numbers() -> None:
    view = View("ana", "bob")
    assert view.last_file is None
    view.happened(carries(5, "f5", "five"))
    view.happened(carries(6, "f5", "five"))
    view.happened(carries(2, "f2", "two"))
    assert shown(view) == [
        "11:15 bob: [file 2: two, 1.5 kB] look",
        "11:15 bob: [file 1: five, 1.5 kB] look",
        "11:15 bob: [file 1: five, 1.5 kB] look",
    ]
    assert [body and body.name for body in map(view.file, ("1", "2", "0", "3", "f2", "f9"))] == [
        "five",
        "two",
        None,
        None,
        "two",
        None,
    ]


def test_the_last_file_is_the_one_that_stands_lowest_and_was_not_taken_back() -> None:
    view = View("ana", "bob")
    for event in (carries(3, "f3", "three"), carries(2, "f2", "two"), said(4, "bob", "text")):
        view.happened(event)
    assert view.last_file is not None
    assert view.last_file.name == "three"
    view.happened(f.Msg(CONV, 5, event_id(5), "bob", AT, None, "delete", target=3))
    assert view.last_file.name == "two"
    view.happened(carries(6, "f6", "six", target=2))
    assert view.last_file.name == "six"
    assert shown(view)[0] == "11:15 bob: [file 3: six, 1.5 kB] look (edited)"
