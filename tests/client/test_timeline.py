from __future__ import annotations

from chat4all_client.timeline import MAX_SEARCH, MAX_WAITING, Timeline
from chat4all_protocol import frames as f
from tests.client.model import CONV, ME, OTHER, conversation_id


def event(seq: int) -> f.Msg:
    return f.Msg(CONV, seq, conversation_id(seq), OTHER, 0, f.TextBody(str(seq)))


def joining(seq: int, user: str) -> f.Msg:
    return f.Msg(CONV, seq, conversation_id(seq), OTHER, 0, f.MemberBody(user), kind="join")


def page(*events: f.Msg, more: bool = False) -> f.Page:
    return f.Page(1, CONV, list(events), more)


def passed(events: list[f.Msg]) -> list[int]:
    return [event.seq for event in events]


def test_what_follows_passes_and_what_passed_before_does_not() -> None:
    timeline = Timeline(4)
    assert passed(timeline.receive(event(5), 9)) == [5]
    assert passed(timeline.receive(event(5), 9)) == []
    assert passed(timeline.receive(event(3), 9)) == []
    assert timeline.waiting == {}


def test_a_hole_is_fetched_and_what_waits_behind_it_passes_after_it() -> None:
    timeline = Timeline(4)
    assert timeline.bounds() is None
    assert timeline.receive(event(7), 9) == []
    assert timeline.bounds() == (4, None)
    timeline.fetching = True
    assert timeline.bounds() is None
    assert passed(timeline.page(4, page(event(5), event(6)), 9)) == [5, 6, 7]
    assert timeline.bounds() is None


def test_a_page_that_is_not_enough_is_followed_by_another() -> None:
    timeline = Timeline(0, goal=3)
    assert passed(timeline.page(0, page(event(1), more=True), 9)) == [1]
    assert timeline.bounds() == (1, None)


def test_a_page_tells_of_more_than_was_known() -> None:
    timeline = Timeline(5)
    timeline.recheck()
    assert timeline.bounds() == (5, None)
    timeline.page(5, page(event(6), more=True), 9)
    assert timeline.bounds() == (6, None)


def test_a_fetch_that_brings_nothing_is_noted_as_trouble() -> None:
    timeline = Timeline(0, goal=3)
    timeline.page(0, page(), 9)
    timeline.page(0, page(), 9)
    assert timeline.troubles == 2
    timeline.page(0, page(event(1)), 9)
    assert timeline.troubles == 0


def test_no_more_passes_than_there_is_room_for() -> None:
    timeline = Timeline(0)
    assert passed(timeline.page(0, page(*map(event, range(1, 6))), 2)) == [1, 2]
    assert timeline.bounds() == (2, None)
    assert timeline.receive(event(6), 0) == []
    assert timeline.goal == 6


def test_what_waits_is_bounded() -> None:
    timeline = Timeline(0)
    for seq in range(2, 1000):
        timeline.receive(event(seq), 9)
    assert len(timeline.waiting) == MAX_WAITING
    assert timeline.goal == 999


def test_a_search_begins_at_the_latest_joining_of_the_user() -> None:
    timeline = Timeline(0)
    timeline.search_start(9, ME)
    assert timeline.bounds() == (None, None)
    assert timeline.receive(event(10), 9) == []
    found = page(joining(6, ME), event(7), joining(8, ME), joining(9, OTHER), more=True)
    assert timeline.page(None, found, 9) == []
    assert timeline.bounds() == (7, None)
    assert passed(timeline.page(7, page(joining(8, ME), joining(9, OTHER)), 9)) == [8, 9, 10]


def test_a_search_goes_back_page_by_page_to_the_beginning_at_most() -> None:
    timeline = Timeline(0)
    timeline.search_start(4, ME)
    timeline.page(None, page(event(3), event(4), more=True), 9)
    assert timeline.bounds() == (None, 3)
    timeline.page(None, page(event(1), event(2)), 9)
    assert timeline.bounds() == (0, None)


def test_a_search_gives_up_after_some_pages() -> None:
    timeline = Timeline(0)
    timeline.search_start(1000, ME)
    for number in range(MAX_SEARCH):
        assert timeline.searching
        timeline.page(None, page(event(1000 - number), more=True), 9)
    assert timeline.position == 1000 - MAX_SEARCH


def test_a_search_ends_when_the_joining_itself_comes() -> None:
    timeline = Timeline(0)
    timeline.search_start(9, ME)
    assert passed(timeline.receive(joining(10, ME), 9)) == [10]
    assert timeline.page(None, page(event(9)), 9) == []
    assert timeline.position == 10


def test_a_head_below_the_position_is_checked_and_followed_when_history_was_lost() -> None:
    timeline = Timeline(50)
    timeline.check(10)
    assert timeline.bounds() == (10, None)
    timeline.receive(event(12), 9)
    timeline.page(10, page(event(11)), 9)
    assert timeline.position == 11
    assert timeline.bounds() == (11, None)  # 12 came while nobody knew which was right


def test_a_head_below_the_position_changes_nothing_when_the_events_exist() -> None:
    timeline = Timeline(12)
    timeline.check(10)
    assert timeline.page(10, page(event(11), event(12)), 9) == []
    assert timeline.position == 12
    assert timeline.bounds() is None


def test_what_comes_while_a_head_is_checked_is_passed_once() -> None:
    timeline = Timeline(12)
    timeline.check(10)  # by a node that was a little behind
    assert passed(timeline.receive(event(13), 9)) == [13]
    assert timeline.page(10, page(event(11), event(12)), 9) == []  # read before 13 was stored
    assert timeline.position == 13
    assert timeline.bounds() is None
    timeline.recheck()
    assert passed(timeline.receive(event(14), 9)) == [14]
    assert timeline.page(13, page(), 9) == []
    assert timeline.position == 14


def test_a_long_check_goes_on_after_a_page() -> None:
    timeline = Timeline(50)
    timeline.check(10)
    timeline.page(10, page(event(11), more=True), 9)
    assert timeline.bounds() == (11, None)
    assert timeline.position == 50


def test_a_member_who_left_and_came_back_goes_on_from_there() -> None:
    timeline = Timeline(5, goal=9)
    timeline.close()
    assert timeline.bounds() is None
    timeline.reopen(20)
    assert passed(timeline.receive(event(21), 9)) == [21]


def test_an_event_below_a_head_that_was_only_told_still_passes() -> None:
    timeline = Timeline(3)
    timeline.tentative = True
    assert passed(timeline.receive(event(3), 9)) == [3]
    assert passed(timeline.receive(event(2), 9)) == []
